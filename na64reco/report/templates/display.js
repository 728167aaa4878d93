(() => {
  "use strict";
  const frame = document.getElementById("frame");
  const which = document.getElementById("which");
  const images = [...frame.querySelectorAll("img")];
  let shown = 0, scale = 1, x = 0, y = 0, drag = null;

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
  document.getElementById("before").addEventListener("click", () => show(shown - 1));
  document.getElementById("next").addEventListener("click", () => show(shown + 1));
  document.getElementById("whole").addEventListener("click", whole);
  which.addEventListener("change", () => show(Number(which.value)));
  addEventListener("keydown", (event) => {
    if (event.target === which) { return; }
    if (event.key === "ArrowRight") { show(shown + 1); }
    if (event.key === "ArrowLeft") { show(shown - 1); }
  });
  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = frame.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    const factor = Math.min(20, Math.max(1, scale * Math.exp(-event.deltaY / 400))) / scale;
    x = px - factor * (px - x); y = py - factor * (py - y); scale *= factor;
    if (scale === 1) { x = 0; y = 0; }
    place();
  }, { passive: false });
  frame.addEventListener("pointerdown", (event) => {
    drag = [event.clientX - x, event.clientY - y];
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    if (drag) { x = event.clientX - drag[0]; y = event.clientY - drag[1]; place(); }
  });
  frame.addEventListener("pointerup", () => { drag = null; });
  frame.addEventListener("dragstart", (event) => event.preventDefault());
})();
