// Tables sort by the column whose heading is pressed; pressed again, the other way round.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
    const numbers = head.classList.contains("number");
    const compare = (a, b) => numbers ? (a === "" ? -Infinity : +a) - (b === "" ? -Infinity : +b) : a.localeCompare(b, "en", { numeric: true });
    const rows = [...body.rows].sort((a, b) => compare(value(a), value(b)));
    body.append(...(down ? rows.reverse() : rows));
  }));
}
document.documentElement.dataset.ready = document.querySelectorAll("th button").length;
