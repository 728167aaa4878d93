(() => {
  "use strict";
  const zoom = document.getElementById("zoom");
  const inside = zoom.querySelector("div");
  for (const image of document.querySelectorAll("figure img")) {
    image.addEventListener("click", () => {
      inside.replaceChildren(image.cloneNode());
      zoom.showModal();
    });
  }
  zoom.querySelector("button").addEventListener("click", () => zoom.close());
  inside.addEventListener("click", () => zoom.close());
})();
