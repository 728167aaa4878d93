(() => {
  "use strict";
  const zoom = document.getElementById("zoom");
  const inside = zoom.querySelector("div");

  function enlarge(image) {
    inside.replaceChildren(image.cloneNode());
    zoom.showModal();
  }

  function save(href, name) {
    const link = document.createElement("a");
    link.href = href;
    link.download = name;
    link.click();
  }

  // The page holds vectors; pixels are made of them when somebody wants some.
  function savePng(image, name) {
    const scale = 2;
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(scale * image.naturalWidth);
    canvas.height = Math.round(scale * image.naturalHeight);
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    save(canvas.toDataURL("image/png"), name);
  }

  for (const figure of document.querySelectorAll("figure")) {
    const image = figure.querySelector("img");
    const files = figure.querySelector(".files");
    const vectors = image.src.startsWith("data:image/svg+xml");
    const kinds = [["PNG", () => vectors ? savePng(image, `${figure.id}.png`) : save(image.src, `${figure.id}.png`)]];
    if (vectors) { kinds.push(["SVG", () => save(image.src, `${figure.id}.svg`)]); }
    for (const [label, action] of kinds) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", `${label} of ${figure.id}`);
      button.addEventListener("click", action);
      files.append(" ", button);
    }
    image.tabIndex = 0;
    image.setAttribute("role", "button");
    image.setAttribute("aria-label", `${image.alt}: enlarge`);
    image.addEventListener("click", () => enlarge(image));
    image.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        enlarge(image);
      }
    });
  }
  zoom.querySelector("button").addEventListener("click", () => zoom.close());
  inside.addEventListener("click", () => zoom.close());
})();
