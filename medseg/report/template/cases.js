"use strict";
// The table of cases: sorting by column, finding by name, pictures on or off. Without it the table stands as it is.
document.querySelectorAll(".needs-script").forEach((element) => { element.hidden = false; });
{
  const table = document.querySelector("table.cases");
  const groups = [...table.tBodies];
  const find = document.getElementById("find");

  const cell = (body, column) => body.rows[0].cells[column];
  const key = (body, column, kind) => {
    if (kind === "text") return cell(body, column).textContent.trim();
    const data = cell(body, column).querySelector("data");
    return data ? Number(data.value) : NaN;
  };

  const sort = (head, kind) => {
    const column = Number(head.dataset.column);
    const up = head.getAttribute("aria-sort") !== "ascending";
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const sign = up ? 1 : -1;
    const keyed = groups.map((body) => [key(body, column, kind), body]);
    keyed.sort(([a], [b]) => {
      if (kind === "text") return sign * a.localeCompare(b, undefined, { numeric: true });
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // no value comes last
      return sign * (a - b);
    });
    table.append(...keyed.map(([, body]) => body));
  };

  table.querySelectorAll("th[data-sort]").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head, head.dataset.sort));
  });

  find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    let left = 0;
    groups.forEach((body) => {
      body.hidden = !body.rows[0].textContent.toLowerCase().includes(wanted);
      left += !body.hidden;
    });
    document.getElementById("found").value = wanted ? `${left} of ${groups.length}` : "";
  });
  find.form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("pictures").addEventListener("change", (event) => {
    table.classList.toggle("bare", !event.target.checked);
  });
}
