"use strict";
const table = document.getElementById("instances"), body = table.tBodies[0], form = document.getElementById("filter");
const rows = [...body.rows], text = new Map(rows.map(row => [row, (row.textContent + " " + row.dataset.why).toLowerCase()]));

function filter() {
  const words = form.q.value.toLowerCase().split(/\s+/), kinds = new FormData(form).getAll("outcome");
  let shown = 0;
  for (const row of rows) {
    row.hidden = !kinds.includes(row.dataset.outcome) || !words.every(word => text.get(row).includes(word));
    document.getElementById(row.querySelector("a").hash.slice(1)).hidden = row.hidden;
    shown += !row.hidden;
  }
  document.getElementById("count").textContent = `${shown} shown`;
}

function sort(button, descending) {
  const head = button.closest("th"), column = head.cellIndex, sign = descending ? -1 : 1;
  const keys = new Map(rows.map(row => [row, row.cells[column].textContent]));
  const numbers = [...keys.values()].every(key => key === "" || !isNaN(key));
  const order = numbers ? (a, b) => a - b : new Intl.Collator("en", { numeric: true }).compare;
  const empty = key => key === "";  // what is not known comes last either way
  rows.sort((a, b) => empty(keys.get(a)) - empty(keys.get(b)) || sign * order(keys.get(a), keys.get(b)));
  body.append(...rows);
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

function open() {
  const details = document.getElementById(location.hash.slice(1));
  if (details) { details.open = true; details.hidden = false; details.scrollIntoView(); }
}

table.tHead.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button) sort(button, button.closest("th").getAttribute("aria-sort") === "ascending");
});
form.addEventListener("input", filter);
form.addEventListener("submit", event => event.preventDefault());
addEventListener("hashchange", open);

// The address may say what to show: ?q=timeout&outcome=undecided&sort=-seconds
const asked = new URLSearchParams(location.search), by = asked.get("sort");
form.q.value = asked.get("q") || "";
if (asked.has("outcome")) for (const box of form.elements.outcome) box.checked = asked.getAll("outcome").includes(box.value);
for (const button of table.tHead.querySelectorAll("button")) if (by && by.replace("-", "") === button.dataset.column) sort(button, by[0] === "-");
filter();
open();
