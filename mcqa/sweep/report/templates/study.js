const figures = JSON.parse(document.getElementById("figures").textContent);
const narrow = matchMedia("(max-width: 640px)"), dark = matchMedia("(prefers-color-scheme: dark)");
// var(--blue) becomes the colour that the style sheet gives it now; long lists of numbers are not searched
const coloured = value => {
  if (typeof value === "string" && value.startsWith("var("))
    return getComputedStyle(document.documentElement).getPropertyValue(value.slice(4, -1)).trim();
  if (Array.isArray(value)) return value.length > 2 && typeof value[0] !== "object" ? value : value.map(coloured);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, coloured(part)]));
  return value;
};
const draw = place => {
  const figure = coloured(figures[place.dataset.figure]);
  figure.layout.font.family = getComputedStyle(document.body).fontFamily;
  if (narrow.matches) { figure.layout.dragmode = false; figure.layout.font.size = 11.5; }
  place.replaceChildren();
  const chart = place.appendChild(document.createElement("div"));
  Plotly.newPlot(chart, figure.data, figure.layout, {displayModeBar: false, responsive: true}).then(() =>
    chart.on("plotly_click", event => pick(event.points[0].customdata)));
};
const pick = number => {
  const row = document.getElementById("t" + number);
  if (!row) return;
  if (row.classList.contains("rest")) row.closest("table").classList.add("all");
  document.querySelectorAll("tr.picked").forEach(picked => picked.classList.remove("picked"));
  row.classList.add("picked");
  row.scrollIntoView({block: "center", behavior: "smooth"});
};
const places = [...document.querySelectorAll(".plot")];
if (window.Plotly) {
  for (const place of places) setTimeout(draw, 0, place);
  for (const change of [narrow, dark]) change.addEventListener("change", () => places.forEach(draw));
}
for (const button of document.querySelectorAll(".more")) button.addEventListener("click", () => {
  button.previousElementSibling.querySelector("table").classList.add("all");
  button.remove();
});
for (const table of document.querySelectorAll("table.cards")) {
  const names = [...table.querySelectorAll("th")].map(heading => heading.textContent);
  for (const row of table.tBodies[0].rows) names.forEach((name, column) => {
    row.cells[column].dataset.name = name.replaceAll("_", "_\u200b");
  });
}
for (const table of document.querySelectorAll("table.sorted")) {
  const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  table.querySelectorAll("th").forEach((heading, column) => {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const order = (a, b) => {
        const [first, second] = [key(a, column), key(b, column)];
        if (first === "" || second === "") return (first === "") - (second === "");
        const sign = isNaN(first) || isNaN(second) ? first.localeCompare(second) : first - second;
        return up ? sign : -sign;
      };
      table.classList.add("all");
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
    });
  });
}
