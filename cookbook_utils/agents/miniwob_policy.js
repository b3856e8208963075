// What to do next on a MiniWoB++ page: looks into the page instead of at the picture.
//
// The file is one expression: a function of the task, its goal and where the pointer is (page coordinates) that returns the
// next move: ["left_click", x, y] (also mouse_move, triple_click), ["drag", x1, y1, x2, y2], ["scroll", pixels, x, y],
// ["type", text], ["key", names] or ["wait", seconds]. It keeps no state of its own: asked again after each move, it goes on from wherever the page is.
([task, goal, pointer]) => {
  const TOP = 50, SIDE = 160;  // of the task's area, below its instruction
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const $1 = (selector, root = document) => root.querySelector(selector);
  const text = (node) => node.textContent.replace(/\s+/g, " ").trim();
  const quoted = [...goal.matchAll(/"([^"]*)"/g)].map((match) => match[1]);
  const shown = (node) => node.getClientRects().length > 0 && getComputedStyle(node).visibility !== "hidden";
  const named = (selector, words) => $$(selector).find((node) => text(node) === words);

  // --- moves ---

  // The free point of a control that is nearest to its middle, what it leaves uncovered; null if nothing is.
  const free = (node) => {
    const {left, top, right, bottom} = node.getBoundingClientRect();
    let best = null;
    for (let i = 1; i < 20; i++) {
      for (let j = 1; j < 20; j++) {
        const x = left + ((right - left) * i) / 20, y = top + ((bottom - top) * j) / 20;
        if (x < 1 || x > SIDE - 1 || y < TOP + 1 || y > TOP + SIDE - 1) continue;
        const hit = document.elementFromPoint(x, y), off = Math.hypot(x - (left + right) / 2, y - (top + bottom) / 2);
        if (hit && (hit === node || node.contains(hit)) && (!best || off < best[2])) best = [x, y, off];
      }
    }
    return best && best.slice(0, 2);
  };
  const scrolled = (node) => {
    const {top, bottom} = node.getBoundingClientRect(), middle = (top + bottom) / 2;
    return middle > TOP + SIDE - 4 ? ["scroll", -160, 80, 130] : middle < TOP + 4 ? ["scroll", 160, 80, 130] : null;
  };
  const click = (node) => {
    const place = node && shown(node) && free(node);
    return place ? ["left_click", ...place] : node && shown(node) ? scrolled(node) || ["key", ["esc"]] : null;
  };
  const drag = (from, to) => ["drag", ...from, ...to];
  const centre = (node) => { const {left, top, right, bottom} = node.getBoundingClientRect(); return [(left + right) / 2, (top + bottom) / 2]; };
  const fill = (field, wanted) => {
    if (field.value === wanted) return null;
    if (document.activeElement !== field) return click(field);
    const all = field.selectionStart === 0 && field.selectionEnd === field.value.length;
    return field.value && !all ? ["triple_click", ...centre(field)] : ["type", wanted];
  };
  const first = (...moves) => { for (const move of moves) { const found = move(); if (found) return found; } return null; };
  const send = () => click($1("#subbtn") || $1("#submit") || $1("#area button"));
  const filled = (selector, wanted) => first(() => fill($1(selector), wanted), send);

  // --- shapes on a grid, and what their descriptions say ---

  const shape = (node) => {
    const size = node.tagName === "text" ? parseFloat(node.getAttribute("font-size")) : node.getBBox().width;
    const kind = {rect: "rectangle", circle: "circle", polygon: "triangle"}[node.tagName];
    const words = kind ? [kind, "shape"] : [text(node), /\d/.test(text(node)) ? "digit" : "letter"];
    return [size > 15 ? "large" : "small", node.getAttribute("fill"), ...words, "item"];
  };
  const column = (node) => Math.round(centre(node)[0] / 5);  // those of the grid are 20 pixels wide
  const like = (description) => $$("#area_svg > *").filter((node) => {
    const facts = shape(node);
    return description.split(" ").every((word) => facts.includes(word));
  }).sort((a, b) => column(a) - column(b) || centre(a)[1] - centre(b)[1]);  // from the left, then from the top

  // --- tasks of one kind ---

  const checkboxes = () => {
    const wanted = goal.replace(/^Select /, "").replace(/ and click Submit\.$/, "").split(", ");
    const wrong = $$("#boxes label").find((label) => $1("input", label).checked !== wanted.includes(text(label)));
    return wrong ? click($1("input", wrong)) : send();
  };
  const link = (hidden) => {
    const found = $$(".alink").filter((node) => text(node) === quoted[0]);
    const seen = found.find(shown);
    return seen ? click(seen) : hidden(found[0]);
  };
  const moved = (node, selector) => {
    const way = /Drag the \w+ (left|right|up|down)/.exec(goal)[1];
    const [, dx, dy] = /translate\(([-\d.e]+)[ ,]+([-\d.e]+)\)/.exec(node.getAttribute("transform") || "translate(0,0)").map(Number);
    if ({left: dx < -5, right: dx > 5, up: dy < -5, down: dy > 5}[way]) return send();
    const [x, y] = document.elementFromPoint(...pointer) === node ? pointer : centre(node);  // from where the pointer is, if that is on it
    const far = {left: [Math.min(15, x - 30), y], right: [Math.max(145, x + 30), y], up: [x, Math.min(TOP + 10, y - 30)], down: [x, Math.max(TOP + 120, y + 30)]};
    return drag([x, y], far[way]);
  };
  const email = (control) => click($1(control, $$(".email-thread").find((one) => text($1(".email-sender", one)) === /(?:by|from) (\w+)/.exec(goal)[1])));
  const dot = (x, y) => {
    const blue = $1("#blue-circle"), area = $1("#svg-grid").getBoundingClientRect();
    if (blue && Math.hypot(blue.cx.baseVal.value - x, blue.cy.baseVal.value - y) < 1.5) return send();
    return ["left_click", x, y + TOP];  // the page puts the dot at the pointer, 50 pixels below
  };
  const clock12 = () => {
    const [, hour, minute, half] = /(\d+):(\d+)\s*([AP]M)/.exec(goal);
    const hour24 = (Number(hour) % 12) + (half === "PM" ? 12 : 0);
    return [`${String(hour24).padStart(2, "0")}:${minute}`, `${hour.padStart(2, "0")}${minute}${half}`];
  };
  const dated = (field, value, typed) => {
    if (field.value === value) return send();
    const {left, top, bottom} = field.getBoundingClientRect();  // its first part is on the left
    return document.activeElement === field && Math.hypot(pointer[0] - left - 8, pointer[1] - (top + bottom) / 2) < 2
      ? ["type", typed] : ["left_click", left + 8, (top + bottom) / 2];
  };
  const slider = () => {
    const $slider = jQuery("#slider"), at = $slider.slider("value"), wanted = Number(/Select (-?\d+)/.exec(goal)[1]);
    if (at === wanted) return send();
    const {min, max, orientation} = $slider.slider("option"), flat = orientation === "horizontal";
    const {left, top, width, height} = $slider[0].getBoundingClientRect(), share = (wanted - min) / (max - min);
    const focused = document.activeElement.classList.contains("ui-slider-handle");
    if (focused && Math.abs(at - wanted) <= Math.max(3, (max - min) / 20)) return ["key", [at < wanted ? "right" : "left"]];
    const place = flat ? [left + width * share, top + height / 2] : [left + width / 2, top + height * (1 - share)];
    const handle = $1(".ui-slider-handle");  // a click on it moves nothing
    return document.elementFromPoint(...place) === handle ? drag(centre(handle), place) : ["left_click", ...place];
  };
  const spinner = () => {
    const at = Number($1("#spinner").value), wanted = Number(/Select (-?\d+)/.exec(goal)[1]);
    return at === wanted ? send() : click($1(at < wanted ? ".ui-spinner-up" : ".ui-spinner-down"));
  };
  const items = () => {
    const rows = $$("#sortable li"), [, name, where] = /Drag (\w+) (.*)/.exec(goal);
    const at = rows.findIndex((row) => text(row) === name), [x, y] = centre(rows[at]);
    const to = /top/.test(where) ? 0 : /bottom/.test(where) ? rows.length - 1 : /down/.test(where) ? at + 1 : /up/.test(where) ? at - 1 : parseInt(/\d/.exec(where)[0]) - 1;
    const [, end] = centre(rows[to]);
    return drag([x, y], [x, end + (to > at ? 6 : -6)]);
  };
  const menu = () => {
    const steps = goal.replace("Select ", "").split(">");
    let list = $1("#menu");
    for (const step of steps) {
      const entry = [...list.children].find((one) => text(one.firstElementChild) === step), label = entry.firstElementChild;
      list = $1("ul", entry);
      if (!list) return click(label);
      if (!shown(list)) return entry.matches(":hover") ? ["wait", 0.5] : ["mouse_move", ...free(label)];  // a click would choose it
    }
  };
  const tree = () => {
    const found = $$("#tree span").filter((node) => text(node) === quoted[0]);
    const seen = found.find(shown);
    if (seen) return click(seen);
    let folder = found[0].closest("ul");
    while (!shown(folder.previousElementSibling)) folder = folder.parentElement.closest("ul");
    return click(folder.previousElementSibling);
  };
  const search = () => {
    const wanted = parseInt(/the (\d+)\w\w search/.exec(goal)[1]) - 1, field = $1("#search-text");
    const pages = $$("#pagination li.page-item:not(.prev):not(.next):not(.first):not(.last)");
    if (field.value !== quoted[0]) return fill(field, quoted[0]);
    if (!pages.length) return click($1("#search"));
    const found = $1(`a[data-result="${wanted}"]`);
    return click(found || $1("a", pages[Math.floor(wanted / 3)]));
  };
  const listed = () => {
    const list = $1("#options"), wanted = /Select (.*) from the list/.exec(goal)[1];
    if (list.selectedOptions[0].text === wanted) return send();
    return document.activeElement === list ? ["type", wanted] : ["key", ["tab"]];
  };
  const position = () => parseInt(/the (\d+)/.exec(goal)[1]) - 1;
  const words = (selector) => text($1(selector)).split(" ").map((word) => word.replace(/[^a-zA-Z]+/g, ""));
  const algebra = () => {
    const [left, right] = text($1("#math-problem")).split(" = "), [a, sign, b] = left.split(" ");
    return String(b === "x" ? (sign === "+" ? right - a : a - right) : sign === "+" ? right - b : Number(right) + Number(b));
  };
  const arithmetic = () => {
    const [a, sign, b] = text($1("#math-problem")).split(" ");
    return String({"+": Number(a) + Number(b), "-": a - b, x: a * b}[sign]);
  };

  const POLICIES = {
    "click-test": () => click($1("#subbtn")),
    "click-test-2": () => click(named("button", "ONE")),
    "click-test-transfer": () => click(named("button", /button (\w+)/.exec(goal)[1])),
    "click-button": () => click(named("#area button", quoted[0])),
    "unicode-test": () => click(named("#area button", quoted[0])),
    "click-link": () => link(() => null),
    "click-dialog": () => click($1(".ui-dialog-titlebar-close")),
    "click-dialog-2": () => click(quoted[0] === "x" ? $1(".ui-dialog-titlebar-close") : named(".ui-dialog-buttonset button", quoted[0])),
    "click-tab": () => click($1(`a[href="#tabs-${/#(\d)/.exec(goal)[1]}"]`)),
    "click-tab-2": () => link((node) => click($1(`a[href="#${node.closest("[id^=tabs-]").id}"]`))),
    "click-checkboxes": checkboxes,
    "click-checkboxes-transfer": checkboxes,
    "click-option": () => {
      const label = named("#boxes label", /Select (.*) and click/.exec(goal)[1]);
      return $1("input", label).checked ? send() : click($1("input", label));
    },
    "click-widget": () => click($1(`[data-type="${quoted[0]}"]`)),
    "click-collapsible": () => shown($1(".ui-accordion-content")) ? send() : click($1("#area h3")),
    "click-collapsible-2": () => link((node) => click(node.closest(".ui-accordion-content").previousElementSibling)),
    "click-color": () => click($1(`#area [data-color="${/the (\w+) colored/.exec(goal)[1]}"]`)),
    "click-shape": () => click(like(/Click on a (.*)/.exec(goal)[1])[0]),
    "click-shades": () => {
      const color = /shades of (\w+)/.exec(goal)[1];
      return click($$("#area span").find((one) => (one.dataset.color === color) !== one.classList.contains("selected"))) || send();
    },
    "click-button-sequence": () => click(buttonsPushed.length ? $1("#subbtn2") : $1("#subbtn")),
    "focus-text": () => click($1("#tt")),
    "focus-text-2": () => click($$("#area input")[position()]),
    "enter-text": () => filled("#tt", quoted[0]),
    "enter-text-2": () => filled("#tt", /upper/.test(goal) ? quoted[0].toUpperCase() : quoted[0].toLowerCase()),
    "enter-text-dynamic": () => filled("#tt", quoted[0]),
    "enter-password": () => first(() => fill($1("#password"), quoted[0]), () => fill($1("#verify"), quoted[0]), send),
    "login-user": () => first(() => fill($1("#username"), quoted[0]), () => fill($1("#password"), quoted[1]), send),
    "enter-date": () => {
      const [, month, day, year] = /(\d+)\/(\d+)\/(\d+)/.exec(goal);
      return dated($1("#tt"), `${year}-${month}-${day}`, month + day + year);
    },
    "enter-time": () => dated($1("#tt"), ...clock12()),
    "grid-coordinate": () => click(document.getElementById(/\(.*?\)/.exec(goal)[0])),
    "identify-shape": () => {
      const [, , ...kinds] = shape($1("#area_svg > *"));
      return click($$("#area-buttons button").find((one) => kinds.includes(one.dataset.type)));
    },
    "count-shape": () => click(named("#count-buttons button", String(like(/How many (.*)s are/.exec(goal)[1]).length))),
    "simple-arithmetic": () => filled("#math-answer", arithmetic()),
    "simple-algebra": () => filled("#math-answer", algebra()),
    "visual-addition": () => filled("#math-answer", String($$(".addition-block").length)),
    "text-transform": () => filled("#tt", text($1("#captcha"))),
    "drag-box": () => smallBoxContained() ? send() : drag(centre($1("#draggableSmall")), centre($1("#draggableLarge"))),
    "drag-circle": () => moved($1("svg circle")),
    "drag-single-shape": () => moved($1("svg .black-shape")),
    "drag-items": items,
    "highlight-text": () => {
      const bare = (words) => words.replace(/\s/g, "");
      return bare(String(getSelection())) === bare($1("#randomText").textContent) ? send() : ["triple_click", ...firstWord($1("#randomText"))];
    },
    "use-slider": slider,
    "use-spinner": spinner,
    "odd-or-even": () => {
      const open = $$(".row").find((row) => !$1(`.${Math.abs(Number(text($1(".display-number", row)))) % 2 ? "odd" : "even"}`, row).classList.contains("selected"));
      return open ? click($1(Math.abs(Number(text($1(".display-number", open)))) % 2 ? ".odd" : ".even", open)) : send();
    },
    "read-table": () => {
      const key = /value of (.*) into/.exec(goal)[1], row = $$("#tab tr").find((one) => text(one.cells[0]) === key);
      return filled("#tt", text(row.cells[1]));
    },
    "find-word": () => filled("#answer-input", words("#area p")[position()]),
    "choose-list": listed,
    "click-menu": menu,
    "use-autocomplete-nodelay": () => {
      const [start, end = ""] = quoted;
      return filled("#tags", ui_utils.COUNTRIES.find((one) => one.startsWith(start) && one.endsWith(end)));
    },
    "navigate-tree": tree,
    "search-engine": search,
    "email-inbox-delete": () => email(".trash"),
    "email-inbox-important": () => email(".star"),
    "circle-center": () => { const {cx, cy} = $1(".black-circle"); return dot(cx.baseVal.value, cy.baseVal.value); },
    "find-midpoint": () => {
      const [a, b] = $$(".black-circle");
      return dot((a.cx.baseVal.value + b.cx.baseVal.value) / 2, (a.cy.baseVal.value + b.cy.baseVal.value) / 2);
    },
  };

  function firstWord(node) {
    const range = document.createRange();
    range.setStart(node.firstChild, 0);
    range.setEnd(node.firstChild, Math.min(4, node.firstChild.length));
    return centre(range);
  }

  return POLICIES[task]();
}
