"use strict";
// Tables that sort, search and save themselves; the network and what is behind it. All texts come
// from archives: they are set as text, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);

  function make(name, text, parent) {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  }

  function makeButton(text, action, parent) {
    const button = make("button", text, parent);
    button.type = "button";
    button.addEventListener("click", action);
    return button;
  }

  // --- tables ---------------------------------------------------------------------------------

  function compare(a, b) {
    const [left, right] = [a.dataset.value, b.dataset.value].map(Number);
    if (a.dataset.value !== undefined && b.dataset.value !== undefined)
      return (Number.isNaN(left) ? -Infinity : left) - (Number.isNaN(right) ? -Infinity : right);
    return a.textContent.localeCompare(b.textContent);
  }

  function sortTable(table, column, head) {
    const falls = head.getAttribute("aria-sort") !== "descending";
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(a.cells[column], b.cells[column]) * (falls ? -1 : 1));
    table.tBodies[0].append(...rows);
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
  }

  // A spreadsheet runs what begins like a formula, unless it is a number.
  function writeCell(text) {
    const isFormula = /^[\s\u200b]*[=+\-@\uff1d\uff0b\uff0d\uff20]/.test(text);
    const safe = isFormula && Number.isNaN(Number(text)) ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  }

  function saveTable(table, name) {
    const lines = [...table.rows].map((row) =>
      [...row.cells].map((cell) => writeCell(cell.textContent)).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
    link.download = `${name}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function equip(holder) {
    const table = holder.querySelector("table");
    const tools = document.createElement("div");
    tools.className = "tools";
    if (holder.classList.contains("long")) {
      const label = make("label", "Search ", tools);
      const input = make("input", undefined, label);
      input.type = "search";
      input.addEventListener("input", () => {
        const wanted = input.value.toLowerCase();
        for (const row of table.tBodies[0].rows)
          row.hidden = !row.textContent.toLowerCase().includes(wanted);
      });
    }
    makeButton("Save as CSV", () => saveTable(table, holder.dataset.name), tools);
    holder.prepend(tools);
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const text = head.textContent;
      head.textContent = "";
      makeButton(text, () => sortTable(table, column, head), head);
    });
  }

  document.querySelectorAll(".table").forEach(equip);

  // --- what is behind accounts and pairs ------------------------------------------------------

  const { accounts, edges, evidence } = data;
  const numberOf = new Map(accounts.name.map((name, number) => [name, number]));
  const details = byId("details");
  const edgesOf = accounts.name.map(() => []);
  edges.source.forEach((source, edge) => {
    edgesOf[source].push(edge);
    edgesOf[edges.target[edge]].push(edge);
  });
  const meetingsOf = edges.source.map(() => []);
  evidence.edge.forEach((edge, row) => meetingsOf[edge].push(row));
  const nameEdge = (edge) => `${accounts.name[edges.source[edge]]} ${edges.lag[edge] > 0 ? "→" : "–"} `
    + accounts.name[edges.target[edge]];

  function list(parent, rows) {
    const holder = make("ul", undefined, parent);
    for (const row of rows) {
      const item = make("li", undefined, holder);
      if (typeof row === "string") item.textContent = row;
      else makeButton(row.text, row.action, item);
    }
  }

  function showEdge(edge) {
    details.replaceChildren();
    make("h3", `Evidence: ${nameEdge(edge)}`, details);
    make("p", edges.said[edge], details);
    const rows = meetingsOf[edge];
    if (rows.length) list(details, rows.map((row) => evidence.said[row]));
    else make("p", "No meeting of these two is kept on this page; the run has it.", details);
    for (const end of [edges.source[edge], edges.target[edge]])
      makeButton(`Account ${accounts.name[end]}`, () => select(end), details);
    point({ edge });
    details.focus();
  }

  function showAccount(number) {
    details.replaceChildren();
    make("h3", `Account ${accounts.name[number]}`, details);
    make("p", accounts.said[number], details);
    const mine = edgesOf[number].slice(0, 50);
    make("p", `${edgesOf[number].length} of the pairs drawn; the strongest:`, details);
    list(details, mine.map((edge) => ({ text: nameEdge(edge), action: () => showEdge(edge) })));
  }

  function select(number) {
    showAccount(number);
    point({ account: number });
    details.focus();
  }

  // Names in tables lead to what is behind them.
  const edgeOf = new Map(edges.source.map((source, edge) => [`${source} ${edges.target[edge]}`, edge]));
  for (const row of document.querySelectorAll("#pairs tbody tr, #accounts tbody tr")) {
    const [first, second] = [...row.cells].map((cell) => numberOf.get(cell.textContent));
    const isPair = row.closest("#pairs") !== null;
    const edge = edgeOf.get(`${first} ${second}`);
    if (first === undefined || (isPair && edge === undefined)) continue;
    const cell = row.cells[0];
    const text = cell.textContent;
    cell.textContent = "";
    makeButton(text, isPair ? () => showEdge(edge) : () => select(first), cell);
  }

  // --- the network ----------------------------------------------------------------------------

  let point = () => {};
  const hasWebgl = () => {
    const context = document.createElement("canvas").getContext("webgl2");
    return context !== null;
  };
  if (!window.Sigma || !window.graphology || !accounts.name.length || !hasWebgl()) return;

  byId("view").hidden = false;
  const picture = byId("picture");
  if (picture) picture.hidden = true;
  // What keeps large networks fluent: no arrows and no clicks on lines, which vanish while it moves.
  const isLarge = edges.source.length > 5000;
  const graph = new graphology.MultiDirectedGraph();
  accounts.name.forEach((label, number) => graph.addNode(number, {
    label, x: accounts.x[number], y: accounts.y[number], size: accounts.size[number],
    color: accounts.colour[number],
  }));
  edges.source.forEach((source, edge) => graph.addEdgeWithKey(edge, source, edges.target[edge], {
    size: edges.size[edge], color: edges.colour[edge],
    type: edges.lag[edge] > 0 && !isLarge ? "arrow" : "line",
  }));

  const wanted = { kind: "", tier: "", least: 0, account: null, edge: null };
  const heaviest = Math.max(...edges.rank, 1);
  const isShown = (edge) => edges.rank[edge] / heaviest * 100 >= wanted.least
    && (!wanted.tier || edges.tier[edge] === wanted.tier)
    && (!wanted.kind || edges.kinds[edge].includes(wanted.kind));
  let shown = new Set();
  let linked = new Set();

  const view = new Sigma(graph, byId("canvas"), {
    enableEdgeEvents: !isLarge, hideEdgesOnMove: isLarge, hideLabelsOnMove: isLarge,
    labelRenderedSizeThreshold: 9, labelDensity: 0.5, labelGridCellSize: 200, zIndex: true,
    nodeReducer: (node, attributes) => {
      if (!linked.has(Number(node))) return { ...attributes, hidden: true };
      if (wanted.account === Number(node))
        return { ...attributes, highlighted: true, forceLabel: true, zIndex: 1 };
      return attributes;
    },
    edgeReducer: (edge, attributes) => {
      const number = Number(edge);
      if (!shown.has(number)) return { ...attributes, hidden: true };
      const isMine = wanted.edge === number || (wanted.account !== null
        && (edges.source[number] === wanted.account || edges.target[number] === wanted.account));
      return isMine ? { ...attributes, color: "#000", size: attributes.size + 1, zIndex: 1 } : attributes;
    },
  });

  function refresh() {
    shown = new Set(edges.source.map((_, edge) => edge).filter(isShown));
    linked = new Set();
    for (const edge of shown) linked.add(edges.source[edge]).add(edges.target[edge]);
    byId("shown").textContent = `${linked.size.toLocaleString("en")} accounts and `
      + `${shown.size.toLocaleString("en")} lines are shown.`;
    view.refresh();
  }

  point = ({ account = null, edge = null }) => {
    Object.assign(wanted, { account, edge });
    const node = account ?? edges.source[edge];
    const place = view.getNodeDisplayData(node);
    if (place) view.getCamera().animate({ x: place.x, y: place.y, ratio: 0.5 }, { duration: 200 });
    view.refresh({ skipIndexation: true });
  };

  view.on("clickNode", ({ node }) => select(Number(node)));
  view.on("clickEdge", ({ edge }) => showEdge(Number(edge)));
  view.on("clickStage", () => {
    Object.assign(wanted, { account: null, edge: null });
    view.refresh({ skipIndexation: true });
  });
  const names = byId("names");
  for (const name of accounts.name.slice(0, 5000)) make("option", undefined, names).value = name;
  byId("find").addEventListener("change", (event) => {
    const text = event.target.value.trim();
    const number = numberOf.get(text)
      ?? accounts.name.findIndex((name) => text && name.includes(text));
    if (number >= 0) select(number);
  });
  const change = (name, read) => (event) => {
    wanted[name] = read(event.target.value);
    refresh();
  };
  byId("kind").addEventListener("change", change("kind", String));
  byId("tier").addEventListener("change", change("tier", String));
  const tellLeast = () => {
    byId("least").textContent = wanted.least ? `the heaviest ${100 - wanted.least} %` : "all";
  };
  byId("weight").addEventListener("input", (event) => {
    wanted.least = Number(event.target.value);
    tellLeast();
    refresh();
  });
  byId("closer").addEventListener("click", () => view.getCamera().animatedZoom({ duration: 200 }));
  byId("farther").addEventListener("click", () => view.getCamera().animatedUnzoom({ duration: 200 }));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => {
    Object.assign(wanted, { kind: "", tier: "", least: 0, account: null, edge: null });
    tellLeast();
    details.replaceChildren();
    view.getCamera().animatedReset({ duration: 200 });
    refresh();
  });
  tellLeast();
  refresh();
  window.gpuCoordView = view;  // for whoever opens the console, and for the tests
})();
