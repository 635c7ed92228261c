// Draws a report's figures from the data beside them, once each comes near the screen, and folds the contents
// on a narrow one. Nothing here asks the network for anything.
(function () {
  "use strict";
  var narrow = window.matchMedia("(max-width: 1099px)");
  var contents = document.querySelector("#contents details");
  function fold() { if (contents) contents.open = !narrow.matches; }
  fold();
  narrow.addEventListener("change", fold);

  // A court keeps its shape: its height follows the width it is given.
  function fit(area, layout, tallest) {
    var shape = layout.meta && layout.meta.height_per_width;
    var margin = layout.margin || {};
    if (!shape) return tallest;
    var across = area.clientWidth - (margin.l || 0) - (margin.r || 0);
    return Math.round(Math.min(tallest, across * shape + (margin.t || 0) + (margin.b || 0)));
  }

  function draw(figure) {
    var area = figure.querySelector(".plot-area");
    var content = JSON.parse(figure.querySelector("script").textContent);
    var layout = content.layout;
    var tallest = layout.height || 450;
    delete layout.width;
    layout.autosize = true;
    if (layout.meta && layout.meta.min_width_px) area.style.minWidth = layout.meta.min_width_px + "px";
    layout.height = fit(area, layout, tallest);
    area.textContent = "";
    area.style.minHeight = layout.height + "px";
    var config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] };
    if (narrow.matches) config.displayModeBar = false;
    return Plotly.newPlot(area, content.data, layout, config).then(function () {
      if (content.frames.length) Plotly.addFrames(area, content.frames);
      window.addEventListener("resize", function () {
        var height = fit(area, layout, tallest);
        area.style.minHeight = height + "px";
        if (height !== area.layout.height) Plotly.relayout(area, { height: height });
      });
    });
  }

  var waiting = Array.prototype.slice.call(document.querySelectorAll("figure.plot"));
  function drawAll() { while (waiting.length) draw(waiting.shift()); }
  function resizeAll(size) {
    document.querySelectorAll(".js-plotly-plot").forEach(function (area) { Plotly.relayout(area, size); });
  }
  // Paper is narrower than the screen, and a drawing does not reflow by itself.
  window.addEventListener("beforeprint", function () { drawAll(); resizeAll({ autosize: false, width: 640 }); });
  window.addEventListener("afterprint", function () { resizeAll({ autosize: true, width: null }); });
  if (!("IntersectionObserver" in window)) { drawAll(); return; }
  var watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      var place = waiting.indexOf(entry.target);
      if (!entry.isIntersecting || place < 0) return;
      watcher.unobserve(entry.target);
      waiting.splice(place, 1);
      draw(entry.target);
    });
  }, { rootMargin: "800px" });
  waiting.forEach(function (figure) { watcher.observe(figure); });
})();
