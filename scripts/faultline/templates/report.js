// SPDX-License-Identifier: MIT
"use strict";
// Sorting by any column, and filtering. A table's bodies are its cells, or one body is the whole table.
{
  const UNITS = { ns: 1, "µs": 1e3, ms: 1e6, s: 1e9 };

  // What a field sorts by: a text, or the first number in it, times in ns; null for no number.
  const key = (row, column) => {
    const field = row.cells[column], text = field ? field.textContent.trim() : "";
    if (!field || !field.classList.contains("number")) return text.toLowerCase();
    const number = parseFloat(text), unit = text.match(/\s(ns|µs|ms|s)(?!\S)/);
    return isNaN(number) ? null : number * (unit ? UNITS[unit[1]] : 1);
  };

  const compare = (one, other, sign) => {
    if (one === null || other === null) return (one === null) - (other === null);
    return sign * (one < other ? -1 : one > other ? 1 : 0);
  };

  // The rows of a body, each with the remarks that stand under it.
  const items = (body) => {
    const found = [];
    for (const row of body.rows) {
      if (row.classList.contains("why")) found.at(-1).push(row);
      else if (row.cells[0].scope !== "rowgroup") found.push([row]);
    }
    return found;
  };

  const sort = (table, column, sign) => {
    const place = (element) => Number(element.dataset.place);
    const order = (one, other) =>
      (sign && compare(key(one, column), key(other, column), sign)) || place(one) - place(other);
    for (const body of table.tBodies) {
      const sorted = items(body).sort((one, other) => order(one[0], other[0]));
      body.append(...sorted.flat());
    }
    const first = (body) => items(body)[0][0];
    const bodies = [...table.tBodies];
    table.append(...bodies.sort((one, other) => (sign ? order(first(one), first(other)) : place(one) - place(other))));
  };

  const filter = (table, words) => {
    let shown = 0, all = 0;
    for (const body of table.tBodies) {
      const title = body.rows[0].cells[0].scope === "rowgroup" ? body.rows[0].textContent : "";
      let any = false;
      for (const item of items(body)) {
        const text = (title + " " + item.map((row) => row.textContent).join(" ")).toLowerCase();
        const fits = words.every((word) => text.includes(word));
        for (const row of item) row.hidden = !fits;
        all += 1;
        shown += fits;
        any = any || fits;
      }
      body.hidden = !any;
    }
    return `${shown} of ${all} rows`;
  };

  const addSorting = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", next);
        sort(table, column, { none: 0, ascending: 1, descending: -1 }[next]);
      });
    });
  };

  const addFilter = (table) => {
    const line = document.createElement("p"), label = document.createElement("label");
    const input = document.createElement("input"), output = document.createElement("output");
    line.className = "filter";
    input.type = "search";
    label.append("Rows with ", input);
    line.append(label, " ", output);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean), found = filter(table, words);
      output.textContent = words.length ? found : "";
    });
    table.parentElement.before(line);
  };

  const ROWS_LEAST = 6; // for which a filter is of use

  for (const table of document.querySelectorAll("table")) {
    [...table.tBodies].forEach((body, place) => (body.dataset.place = place));
    const rows = [...table.tBodies].flatMap(items);
    rows.forEach(([row], place) => (row.dataset.place = place));
    addSorting(table);
    if (rows.length >= ROWS_LEAST) addFilter(table);
  }
}
