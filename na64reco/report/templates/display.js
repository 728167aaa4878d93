(() => {
  "use strict";
  const frame = document.getElementById("frame");
  const which = document.getElementById("which");
  const images = [...frame.querySelectorAll("img")];
  const fingers = new Map();
  let shown = 0, scale = 1, x = 0, y = 0;

  function place() {
    images[shown].style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  }
  function whole() {
    scale = 1; x = 0; y = 0; place();
  }
  function show(index) {
    shown = (index + images.length) % images.length;
    images.forEach((image, i) => { image.hidden = i !== shown; });
    which.value = String(shown);
    place();
  }
  // Around a point of the frame, which stays where it is.
  function zoom(factor, px, py) {
    const now = Math.min(20, Math.max(1, scale * factor));
    x = px - now / scale * (px - x); y = py - now / scale * (py - y); scale = now;
    if (scale === 1) { x = 0; y = 0; }
    place();
  }
  function zoomMiddle(factor) {
    zoom(factor, frame.clientWidth / 2, frame.clientHeight / 2);
  }
  function inside(event) {
    const box = frame.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  const actions = {
    before: () => show(shown - 1),
    next: () => show(shown + 1),
    larger: () => zoomMiddle(1.5),
    smaller: () => zoomMiddle(1 / 1.5),
    whole,
  };
  for (const [name, action] of Object.entries(actions)) {
    document.getElementById(name).addEventListener("click", action);
  }
  which.addEventListener("change", () => show(Number(which.value)));
  const keys = { ArrowRight: "next", ArrowLeft: "before", "+": "larger", "-": "smaller", 0: "whole" };
  addEventListener("keydown", (event) => {
    if (event.target === which || event.ctrlKey || event.metaKey || event.altKey) { return; }
    if (keys[event.key]) { actions[keys[event.key]](); }
  });

  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), ...inside(event));
  }, { passive: false });
  frame.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, inside(event));
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) { return; }
    const [px, py] = inside(event);
    const [ox, oy] = fingers.get(event.pointerId);
    const other = [...fingers].find(([id]) => id !== event.pointerId);
    if (other === undefined) {
      x += px - ox; y += py - oy; place();
    } else {
      const [qx, qy] = other[1];
      const far = Math.hypot(px - qx, py - qy), near = Math.max(1, Math.hypot(ox - qx, oy - qy));
      zoom(far / near, (px + qx) / 2, (py + qy) / 2);
    }
    fingers.set(event.pointerId, [px, py]);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    frame.addEventListener(end, (event) => { fingers.delete(event.pointerId); });
  }
  frame.addEventListener("dragstart", (event) => event.preventDefault());
})();
