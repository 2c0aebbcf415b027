
// The matrix: a cell opens the panel with its evidence, one at a time, and its charts are drawn when they are seen.
const panels = new Map([...document.querySelectorAll("details.cell")].map((panel) => [evidenceOf(panel).id, panel]));
const matrixCells = [...document.querySelectorAll(".phi:not(.strip) [data-cell]")];

function evidenceOf(panel) {
  return panel.querySelector(".cell-evidence");
}

async function drawCurves(panel) {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  for (const place of panel.querySelectorAll("[data-lazy-chart]")) {
    const name = place.dataset.lazyChart;
    place.removeAttribute("data-lazy-chart");
    try {
      await draw(place, specs[name]);
    } catch (problem) {
      place.textContent = `This chart could not be drawn (${problem.message}). ${place.getAttribute("aria-label")}`;
      console.error(problem);
    }
  }
}

function followPanel(panel) {
  panel.addEventListener("toggle", () => {
    const address = `#${evidenceOf(panel).id}`;
    if (panel.open) {
      for (const other of panels.values()) if (other !== panel) other.open = false;
      history.replaceState(null, "", address);
      drawCurves(panel);
    } else if (location.hash === address) history.replaceState(null, "", "#influence");
    for (const cell of matrixCells) cell.setAttribute("aria-expanded", String(panels.get(cell.dataset.cell).open));
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    panel.open = false;
    matrixCells.find((cell) => cell.dataset.cell === evidenceOf(panel).id)?.focus();
  });
}

function toggle(cell) {
  const panel = panels.get(cell.dataset.cell);
  panel.open = !panel.open;
  if (panel.open) panel.querySelector("summary").scrollIntoView({ block: "nearest" });
}

// Arrow keys walk over the matrix; Enter and the space bar open a cell.
function walk(cell, key) {
  const place = cell.closest("td");
  const row = place.parentElement;
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key];
  if (!step) return false;
  const rows = [...row.parentElement.rows];
  rows[rows.indexOf(row) + step[0]]?.cells[place.cellIndex + step[1]]?.querySelector("[data-cell]")?.focus();
  return true;
}

function upgradeCell(cell) {
  cell.setAttribute("role", "button");
  cell.setAttribute("aria-controls", cell.dataset.cell);
  cell.setAttribute("aria-expanded", "false");
  cell.addEventListener("click", (event) => { event.preventDefault(); toggle(cell); });
  cell.addEventListener("keydown", (event) => {
    if (walk(cell, event.key)) event.preventDefault();
    if (event.key === " ") { event.preventDefault(); toggle(cell); }
  });
}

// A link from anywhere, also from another page, opens what it leads to.
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  const around = target?.closest("details.cell, details.cluster");
  if (!around) return;
  around.open = true;
  around.scrollIntoView();
}

document.querySelector(".panels")?.classList.add("one-at-a-time");
panels.forEach(followPanel);
matrixCells.forEach(upgradeCell);
window.addEventListener("hashchange", openTarget);
document.addEventListener("click", (event) => {
  if (event.target.closest?.('a[href^="#"]')?.hash === location.hash && !event.defaultPrevented) openTarget();
});
openTarget();
