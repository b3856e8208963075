// What is seen of a page: its elements, and every written character with its place.
//
// The file is one expression: a function of the screen's part of the page ([x, y, width, height], CSS pixels) and of pixels per
// CSS pixel that returns {elements, lines}, boxes as [x1, y1, x2, y2] in pixels of the screen. An element has its `kind`, `box`,
// `text` (what is written on it), `name` (what it is called, "" if nothing says), and `on` (true, false, or null for what cannot
// be switched). A line has its `text`, `box`, `chars` ([character, box] without spaces), `of` (the index of the element that it
// stands on, or -1) and `cut` (whether its end is left out). What is covered, scrolled away or cut off is not seen.
([[left, top, width, height], scale]) => {
  const frame = [left, top, left + width, top + height];
  const meet = (a, b) => [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])];
  const area = (box) => Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]);
  const boxOf = ({left, top, right, bottom}) => [left, top, right, bottom];
  const onScreen = ([x1, y1, x2, y2]) => [x1 - left, y1 - top, x2 - left, y2 - top].map((edge) => Math.round(edge * scale * 10) / 10);
  const tidy = (text) => (text || "").replace(/\s+/g, " ").trim();

  // --- what is in sight ---

  const clips = new Map();  // the part of the page in which a node's content can show
  const clipOf = (node) => {
    if (!node || node === document.documentElement || node === document.body) return frame;
    if (!clips.has(node)) {
      const style = getComputedStyle(node), around = clipOf(node.parentElement);
      const open = style.overflowX === "visible" && style.overflowY === "visible" || style.display === "inline" || node instanceof SVGElement;
      clips.set(node, open ? around : meet(around, boxOf(node.getBoundingClientRect())));
    }
    return clips.get(node);
  };
  const related = (hit, node) => hit && (hit === node || node.contains(hit) || hit.contains(node));
  const opaque = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const style = getComputedStyle(one);
      if (style.visibility === "hidden" || style.display === "none" || Number(style.opacity) < 0.2) return false;
    }
    return true;
  };
  const uncovered = (node, box) => [[.5, .5], [.2, .5], [.8, .5], [.5, .2], [.5, .8]].some(([u, v]) =>
    { const hit = document.elementFromPoint(box[0] + u * (box[2] - box[0]), box[1] + v * (box[3] - box[1])); return hit && (hit === node || node.contains(hit)); });
  const seen = (node) => {  // the visible part of a node's box, null if that is not the most of it
    const whole = boxOf(node.getBoundingClientRect()), box = meet(whole, clipOf(node.parentElement));
    return area(box) > 0.4 * area(whole) && area(box) > 12 && opaque(node) && uncovered(node, box) ? box : null;
  };

  // --- elements: which nodes count, and as what ---

  const KINDS = [
    [".key[data-key]", "key"], [".veil", null], [".app", "icon"], [".row[data-id], .email-thread", "row"], [".card, .note, .recent", "card"],
    [".tab, .ui-tabs-nav li", "tab"], [".slide, .ui-slider", "slider"], [".ui-slider-handle", "button"], [".switch", "switch"], [".radio", "radio"],
    ["span.box", "checkbox"], [".glyph, .avatar, .art", "icon"], [".ui-accordion-header", "row"], [".email-thread .trash, .email-thread .star", "icon"],
    [".ui-menu-item > div, .ui-menu-item > a, #sortable li, #tree span", "row"], ["input[type=checkbox]", "checkbox"], ["input[type=radio]", "radio"],
    ["input[type=range]", "slider"], ["button, input[type=button], input[type=submit], .ui-spinner-button, .ui-button", "button"],
    ["input, textarea, select", "field"], ["a, .alink", "link"], ["#area_svg > *, #svg-grid circle, svg circle, svg rect, svg polygon, svg .black-shape", "shape"],
    ["[data-color], .addition-block, #draggableSmall, #draggableLarge, #area .color", "shape"], ["[data-id]", "button"],
  ];
  const kindOf = (node) => (KINDS.find(([selector]) => node.matches(selector)) || [])[1];
  const written = (node) => tidy(node.matches("input") ? (/^(button|submit)$/.test(node.type) ? node.value : "") : node.matches("select") ? "" : node.textContent);
  const labelled = (node) => tidy(node.labels && node.labels.length ? node.labels[0].textContent : "");
  const before = (node) => node.matches("input") && node.previousElementSibling && node.previousElementSibling.matches("label, span, b, p") ? node.previousElementSibling.textContent : "";
  const figure = (node) => {  // of a drawing with figures: how its goals describe it
    if (!node.matches("#area_svg > *")) return "";
    const side = node.matches("text") ? parseFloat(node.getAttribute("font-size")) : node.getBBox().width;
    const kind = {rect: "rectangle", circle: "circle", polygon: "triangle"}[node.tagName] || (/\d/.test(node.textContent) ? "digit" : "letter");
    return `${side > 15 ? "large" : "small"} ${node.getAttribute("fill")} ${kind}`;
  };
  const nameOf = (node) => figure(node) || node.dataset.id || node.dataset.key || node.dataset.color || node.getAttribute("aria-label") || labelled(node) ||
    node.placeholder || before(node) || node.title || (node.matches(".trash, .star") ? node.className : "") || "";
  const stateOf = (node) => node.matches(".switch, .radio, span.box") ? node.classList.contains("on") : node.matches("input[type=checkbox], input[type=radio]") ? node.checked : null;

  const nodes = [...document.querySelectorAll(KINDS.map(([selector]) => selector).join(","))];
  const elements = [], indexOf = new Map();
  for (const node of nodes) {
    const kind = kindOf(node), box = kind && seen(node);
    if (!box) continue;
    indexOf.set(node, elements.length);
    elements.push({kind, box: onScreen(box), text: written(node), name: tidy(nameOf(node)), on: stateOf(node)});
  }
  const holder = (node) => { for (let one = node; one; one = one.parentElement) if (indexOf.has(one)) return indexOf.get(one); return -1; };

  // --- characters ---

  const lines = [];
  const add = (chars, of, cut) => {  // characters of one text node, or of a field: [character, box in CSS pixels]
    let line = null, space = false;
    for (const [character, box] of chars) {
      if (!character.trim()) { space = true; continue; }
      if (!line || Math.abs(box[1] - line.at) > 3) lines.push(line = {text: "", chars: [], of, cut, at: box[1], whole: [1e9, 1e9, -1e9, -1e9]});
      else if (space) line.text += " ";
      line.text += character;
      line.chars.push([character, ...onScreen(box)]);
      line.whole = [Math.min(line.whole[0], box[0]), Math.min(line.whole[1], box[1]), Math.max(line.whole[2], box[2]), Math.max(line.whole[3], box[3])];
      space = false;
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), range = document.createRange();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || parent.closest("script, style, select, textarea, noscript") || !opaque(parent)) continue;
    const clip = [...clipOf(parent)], style = getComputedStyle(parent), chars = [];
    const cut = style.textOverflow === "ellipsis" && parent.scrollWidth > parent.clientWidth;
    if (cut) clip[2] -= 0.9 * parseFloat(style.fontSize);  // the three dots
    let at = 0;
    for (const character of node.data) {
      range.setStart(node, at);
      range.setEnd(node, at += character.length);
      const rect = range.getClientRects()[0];
      if (!character.trim() || !rect) { chars.push([" ", null]); continue; }
      const box = boxOf(rect), hit = document.elementFromPoint((box[0] + box[2]) / 2, (box[1] + box[3]) / 2);
      if (area(meet(box, clip)) > 0.6 * area(box) && related(hit, parent)) chars.push([style.textTransform === "uppercase" ? character.toUpperCase() : character, box]);
      else chars.push([" ", null]);
    }
    add(chars, holder(parent), cut || chars.some(([, box], i) => !box && node.data[i] && node.data[i].trim()));
  }

  // What stands in a field is no node of the page: its letters are measured.
  const context = document.createElement("canvas").getContext("2d");
  for (const [node, index] of indexOf) {
    if (!node.matches("input") || !/^(text|search|tel|)$/.test(node.getAttribute("type") || "")) continue;
    const shown = node.value || node.placeholder || "", style = getComputedStyle(node), box = boxOf(node.getBoundingClientRect());
    elements[index].text = node.value;
    context.font = `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const space = parseFloat(style.borderLeftWidth) + parseFloat(style.paddingLeft), height = 1.17 * parseFloat(style.fontSize);
    const start = box[0] + space - node.scrollLeft, y = (box[1] + box[3] - height) / 2, end = box[2] - space;
    const place = (i) => start + context.measureText(shown.slice(0, i)).width;
    const chars = [...shown].map((character, i) => [character, [place(i), y, place(i + 1), y + height]]).filter(([, b]) => b[0] >= box[0] && b[2] <= end + 1);
    if (!/^(center|right|end)$/.test(style.textAlign)) add(chars, index, chars.length < shown.length);
  }
  return {elements, lines: lines.map(({text, chars, of, cut, whole}) => ({text, chars, of, cut, box: onScreen(whole)}))};
}
