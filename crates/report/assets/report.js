// Draws the charts in the colours of the style sheet, filters tables and unfolds rows.
(() => {
  "use strict";
  const NARROW_PX = 620;
  const charts = [...document.querySelectorAll("script[data-chart]")].map((script) => ({
    element: document.getElementById(script.dataset.chart),
    figure: JSON.parse(script.textContent),
  }));

  // `var(--name)` becomes the colour it stands for; long rows of numbers are left alone.
  const coloured = (value, style) => {
    if (typeof value === "string") {
      const name = /^var\((--[a-z0-9-]+)\)$/.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) {
      const plain = typeof value[0] === "number" && typeof value.at(-1) !== "string";
      return plain ? value : value.map((item) => coloured(item, style));
    }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, style)]));
    }
    return value;
  };

  const laidOver = (base, over) => {
    const joined = { ...base };
    for (const [key, value] of Object.entries(over || {})) {
      const both = value && joined[key] && typeof value === "object" && !Array.isArray(value);
      joined[key] = both ? laidOver(joined[key], value) : value;
    }
    return joined;
  };

  const draw = (widthPx) => {
    const style = getComputedStyle(document.documentElement);
    const coarse = matchMedia("(pointer: coarse)").matches;
    for (const { element, figure } of charts) {
      const width = widthPx || element.clientWidth;
      const { data, layout, narrow } = coloured(figure, style);
      const shown = width < NARROW_PX ? laidOver(layout, narrow) : layout;
      shown.width = width;
      element.style.minHeight = shown.height + "px";
      if (width < NARROW_PX) {
        shown.xaxis = { ...shown.xaxis, nticks: 4, tickangle: 0 };
        // Gaps would leave little of narrow cells.
        for (const trace of data) if (trace.type === "heatmap") trace.xgap = 0;
      }
      // A finger that drags wants to scroll the page.
      if (coarse) shown.dragmode = false;
      if (element.dataset.zoomed) shown.xaxis = { ...shown.xaxis, range: element.layout.xaxis.range };
      Plotly.react(element, data, shown, {
        displaylogo: false,
        showTips: false,
        displayModeBar: coarse ? false : "hover",
        modeBarButtons: [["toImage", "resetScale2d"]],
        doubleClick: "reset",
      });
    }
  };

  const zoomTogether = () => {
    let busy = false;
    const timed = charts.filter(({ element }) => element.hasAttribute("data-time"));
    for (const { element } of timed) {
      element.on("plotly_relayout", (change) => {
        const keys = Object.keys(change);
        if (busy || !keys.some((key) => key.startsWith("xaxis."))) return;
        busy = true;
        const { range } = element.layout.xaxis;
        for (const { element: other } of timed) other.dataset.zoomed = "yes";
        const others = timed.filter(({ element: other }) => other !== element);
        Promise.all(others.map(({ element: other }) => Plotly.relayout(other, { "xaxis.range": [...range] })))
          .finally(() => { busy = false; });
      });
    }
  };

  if (charts.length > 0) {
    draw();
    zoomTogether();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
    const print = matchMedia("print");
    print.addEventListener("change", () => draw(print.matches ? 700 : undefined));
    let width = innerWidth;
    let timer;
    addEventListener("resize", () => {
      if (innerWidth === width || print.matches) return;
      width = innerWidth;
      clearTimeout(timer);
      timer = setTimeout(() => draw(), 120);
    });
  }

  for (const form of document.querySelectorAll("form[data-filters]")) {
    const table = document.getElementById(form.dataset.filters);
    const words = form.querySelector("input[type=search]");
    const boxes = [...form.querySelectorAll("input[type=checkbox]")];
    const told = form.querySelector("output");
    const rows = [...table.tBodies[0].rows].filter((row) => !row.classList.contains("detail"));
    const entries = rows.map((row) => {
      const button = row.querySelector("button[aria-controls]");
      const detail = button && document.getElementById(button.getAttribute("aria-controls"));
      const text = (row.textContent + " " + (detail ? detail.textContent : "")).toLowerCase();
      return { row, button, detail, text };
    });
    const filter = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const kinds = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      let n = 0;
      for (const { row, button, detail, text } of entries) {
        const seen = kinds.has(row.dataset.kind) && wanted.every((word) => text.includes(word));
        row.hidden = !seen;
        if (detail) detail.hidden = !seen || button.getAttribute("aria-expanded") !== "true";
        if (seen) n += 1;
      }
      const all = entries.length.toLocaleString("en-US") + (entries.length === 1 ? " row" : " rows");
      told.textContent = n === entries.length ? all : `${n.toLocaleString("en-US")} of ${all}`;
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }

  const folds = [...document.querySelectorAll("button[aria-controls]")];
  const fold = (button, open) => {
    button.setAttribute("aria-expanded", String(open));
    document.getElementById(button.getAttribute("aria-controls")).hidden = !open;
  };
  for (const button of folds) {
    fold(button, false);
    button.addEventListener("click", () => fold(button, button.getAttribute("aria-expanded") !== "true"));
  }
  const unfoldTarget = () => {
    const row = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    const button = row && row.querySelector && row.matches("tr") && row.querySelector("button[aria-controls]");
    if (button) fold(button, true);
  };
  addEventListener("hashchange", unfoldTarget);
  unfoldTarget();

  // Paper cannot be clicked.
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });

  // The navigation says where the reader is.
  const links = new Map([...document.querySelectorAll("nav.sections a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      const link = links.get(entry.target.id);
      if (link) link.setAttribute("aria-current", "location");
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  for (const section of document.querySelectorAll("main > section")) seen.observe(section);
})();
