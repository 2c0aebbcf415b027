"use strict";
// Draws the charts, switches arms, sorts and filters tables, opens details for printing. Without it, all text stays.

const SETTINGS = {
  mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false,
  tooltip: { theme: "report", disableDefaultStyle: true },
};
const views = [];

async function drawCharts() {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  for (const place of document.querySelectorAll("[data-chart]")) {
    try {
      views.push((await draw(place, specs[place.dataset.chart])).view);
    } catch (problem) {
      place.textContent = `This chart could not be drawn (${problem.message}). ${place.getAttribute("aria-label")}`;
      console.error(problem);
    }
  }
  document.documentElement.dataset.charts = "drawn";
}

// The sentence that stands for the picture replaces what the library would say of every single mark.
async function draw(place, spec) {
  const [role, label] = [place.getAttribute("role"), place.getAttribute("aria-label")];
  const drawn = await vegaEmbed(place, spec, SETTINGS);
  place.setAttribute("role", role);
  place.setAttribute("aria-label", label);
  place.removeAttribute("aria-roledescription");
  place.querySelector("svg").setAttribute("aria-hidden", "true");
  return drawn;
}

function switchArms() {
  const arms = [...document.querySelectorAll("[data-arm]")].map(upgradeArm);
  const apply = () => {
    const shown = arms.filter((arm) => arm.getAttribute("aria-pressed") === "true").map((arm) => arm.dataset.arm);
    for (const view of views) {
      if ("shown" in view.getState().signals) view.signal("shown", shown).run();
    }
  };
  for (const arm of arms) {
    arm.addEventListener("click", () => {
      arm.setAttribute("aria-pressed", String(arm.getAttribute("aria-pressed") !== "true"));
      apply();
    });
  }
}

function upgradeArm(label) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "arm";
  button.dataset.arm = label.dataset.arm;
  button.setAttribute("aria-pressed", "true");
  button.append(...label.childNodes);
  label.replaceWith(button);
  return button;
}

function value(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value ?? cell.textContent.trim();
}

// Numbers by size, words by the alphabet, nothing measured always last.
function compare(first, second, direction) {
  const missing = (text) => text === "" || text === "\u2013";
  if (missing(first) || missing(second)) return Number(missing(first)) - Number(missing(second));
  const [a, b] = [first, second].map((text) => Number(text.replace("\u2212", "-").replace(/\u202f/g, "")));
  const order = Number.isNaN(a) || Number.isNaN(b) ? first.localeCompare(second) : a - b;
  return direction * order;
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => compare(value(a, column), value(b, column), direction)));
    });
  });
}

function filterable(tools) {
  const table = document.getElementById(tools.dataset.toolsFor);
  const rows = [...table.tBodies[0].rows];
  if (rows.length < 6) return;
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = `Filter ${tools.dataset.label}`;
  input.setAttribute("aria-label", `Filter ${tools.dataset.label}: rows that hold every word`);
  const count = document.createElement("output");
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    count.textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  };
  input.addEventListener("input", apply);
  tools.append(input, count);
}

function openForPrint() {
  const opened = [];
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details[data-print-open]:not([open])")) {
      details.open = true;
      opened.push(details);
    }
  });
  window.addEventListener("afterprint", () => opened.splice(0).forEach((details) => { details.open = false; }));
}

document.querySelectorAll("table.data").forEach(sortable);
document.querySelectorAll("[data-tools-for]").forEach(filterable);
switchArms();
openForPrint();
if (typeof vegaEmbed === "function") drawCharts();
else document.documentElement.dataset.charts = "drawn";
