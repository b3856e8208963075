// The phone itself: its state, what taps, holds and keys do to it, and how it is drawn anew after each.
//
// window.phone: reset(seed), state(), locate(name), screen. The page takes the events `systembutton` (Back, Home, Menu) and
// `openapp` (an app's name) on its document, cancelable as said in cookbook_utils/agents/touch.py.
"use strict";

const S = {};
const $ = (selector) => document.querySelector(selector);
const split = (text) => text.split(/=(.*)/s);

function reset(seed) {
  const {data, look} = contents(seed);
  data.ringtone = look.ringtones[look.choice];
  Object.assign(S, {seed, data, look, stack: [{name: "home"}], recents: [], drafts: {}, menu: null, keys: {shift: false, digits: false},
    chosen: {hour: 7, minute: 0, count: 1, timer: null}, scrolls: {}});
  document.activeElement.blur();
  const query = new URLSearchParams(location.search);
  if (query.get("seed") !== String(seed)) history.replaceState(null, "", `?seed=${seed}`);  // a page that is opened again is this one
  draw();
}

const top_ = () => S.stack[S.stack.length - 1];
const view = () => ({...S, top: top_()});

// --- drawing ------------------------------------------------------------------------------------------------------------

function draw() {
  const {data, look} = S;
  const place = top_();
  const root = document.documentElement;
  root.dataset.theme = data.dark ? "dark" : "light";
  root.dataset.size = data.size;
  root.style.setProperty("--accent", (data.dark ? ACCENTS_DARK : ACCENTS)[look.accent]);
  root.style.setProperty("--wall-a", WALLPAPERS[look.wallpaper][0]);
  root.style.setProperty("--wall-b", WALLPAPERS[look.wallpaper][1]);
  document.body.className = place.name === "home" || place.name === "recents" ? "wall" : "";
  $("#status").innerHTML = `<b>${clock(look.now)}</b><span>${["airplane", "bluetooth", "wifi", "data"].filter((key) => data.switches[key] && !(key === "data" && data.switches.airplane))
    .map((key) => icon(key, 17, 2.4)).join("")}${data.silent ? icon("silent", 17, 2.4) : ""}<i>${look.battery}%</i></span>`;
  $("#screen").innerHTML = SCREENS[place.name](view());
  $("#sheet").innerHTML = sheet(S);
  const scroll = $("#screen .scroll");
  if (scroll) {
    scroll.scrollTop = place.name === "Conversation" ? scroll.scrollHeight : S.scrolls[key()] || 0;
    scroll.addEventListener("scroll", () => { S.scrolls[key()] = scroll.scrollTop; });
  }
}

const key = () => `${top_().name}=${top_().of || ""}`;

// --- what can be done ---------------------------------------------------------------------------------------------------

const note = (title) => S.data.notes.find((one) => one.title === title);

const DO = {
  open(name) { go(name, true); },
  go(place) { go(place); },
  back() { back(); },
  flip(name) { S.data.switches[name] = !S.data.switches[name]; },
  set(pair) {
    const [name, value] = split(pair);
    S.data[name] = typeof S.data[name] === "boolean" ? !!value : value;
  },
  send() {
    const text = (S.drafts.message || "").trim();
    if (!text) return;
    S.data.conversations.find((one) => one.name === top_().of).messages.push({mine: true, text});
    S.drafts.message = "";
  },
  tab(name) { top_().of = name; },
  flipAlarm(time) { const alarm = S.data.alarms.find((one) => one.time === time); alarm.on = !alarm.on; },
  newAlarm() { Object.assign(S.chosen, {hour: 7, minute: 0}); go("NewAlarm"); },
  hour(value) { S.chosen.hour = Number(value); },
  minute(value) { S.chosen.minute = Number(value); },
  saveAlarm() {
    const time = `${two(S.chosen.hour)}:${two(S.chosen.minute)}`;
    S.data.alarms = [...S.data.alarms.filter((one) => one.time !== time), {time, on: true, label: "Alarm"}].sort((a, b) => (a.time < b.time ? -1 : 1));
    back();
  },
  timer(minutes) { S.chosen.timer = Number(minutes); },
  startTimer() { S.data.timer = S.chosen.timer; },
  stopTimer() { S.data.timer = S.chosen.timer = null; },
  count(change) { S.chosen.count = Math.min(9, Math.max(1, S.chosen.count + Number(change))); },
  addToCart(name) {
    const found = S.data.cart.find((one) => one.name === name);
    if (found) found.count += S.chosen.count;
    else S.data.cart.push({name, count: S.chosen.count});
    S.chosen.count = 1;
  },
  dropFromCart(name) { S.data.cart = S.data.cart.filter((one) => one.name !== name); },
  order() { S.data.orders.push(S.data.cart); S.data.cart = []; S.stack = [S.stack[0], {name: "Shop"}, {name: "Ordered"}]; },
  done() { back(); },
  newNote() { S.drafts.title = ""; go("NewNote"); },
  saveNote() {
    const title = (S.drafts.title || "").trim();
    if (!title || note(title)) return;
    S.data.notes.unshift({title, body: ""});
    back();
  },
  tick(pair) { const [title, i] = split(pair); const item = note(title).items[Number(i)]; item.done = !item.done; },
  closeMenu() { S.menu = null; },
  pinUp() { moved((list, one) => list.unshift(one)); },
  remove() { moved(() => {}); },
};

// Takes what the menu is about out of its list, and puts it back, if at all, by `place`.
function moved(place) {
  const {kind, of} = S.menu;
  const [list, name] = {conversation: [S.data.conversations, "name"], note: [S.data.notes, "title"], alarm: [S.data.alarms, "time"]}[kind];
  const index = list.findIndex((one) => one[name] === of);
  place(list, ...list.splice(index, 1));
  S.menu = null;
}

function go(place, fresh = false) {
  const [name, of] = split(place);
  if (fresh) {
    S.stack = [S.stack[0]];
    S.recents = [name, ...S.recents.filter((one) => one !== name)];
    S.scrolls = {};
  }
  if (name === "Conversation") { S.look.unread[of] = false; S.drafts.message = ""; }
  if (name === "Product") S.chosen.count = 1;
  S.stack.push({name, of});
}

function back() {
  S.menu ? S.menu = null : S.stack.length > 1 && S.stack.pop();
}

// --- input --------------------------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-do]");
  if (!target) return;
  if (target.dataset.do !== "send") document.activeElement.blur();
  const focused = document.activeElement.dataset.draft;
  DO[target.dataset.do](target.dataset.with);
  draw();
  if (focused) $(`[data-draft="${focused}"]`)?.focus();
});

document.addEventListener("contextmenu", (event) => {
  event.preventDefault();
  const target = event.target.closest("[data-hold]");
  if (!target) return;
  const [kind, of] = split(target.dataset.hold);
  S.menu = {kind, of};
  draw();
});

document.addEventListener("input", (event) => { S.drafts[event.target.dataset.draft] = event.target.value; });
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.dataset.draft === "message") { DO.send(); draw(); $("[data-draft]").focus(); }
});
document.addEventListener("focusin", (event) => { if (event.target.dataset.draft) showKeyboard(true); });
document.addEventListener("focusout", () => showKeyboard(false));

function showKeyboard(shown) {
  document.body.classList.toggle("typing", shown);
  $("#keyboard").innerHTML = shown ? keyboard(S) : "";
  const talk = $(".talk");
  if (talk) talk.scrollTop = talk.scrollHeight;
}

// A key or a button must not take the focus from the field: the keyboard would go, and the button move away under the finger.
document.addEventListener("mousedown", (event) => { if (event.target.closest("#keyboard, [data-do]")) event.preventDefault(); });
$("#keyboard").addEventListener("click", (event) => {
  const name = event.target.closest("[data-key]")?.dataset.key;
  const into = document.activeElement;
  if (!name || !into.dataset.draft) return;
  if (name === "shift") S.keys.shift = !S.keys.shift;
  else if (name === "layout") S.keys.digits = !S.keys.digits;
  else if (name === "enter") into.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true}));
  else into.setRangeText(...(name === "backspace" ? ["", Math.max(0, into.selectionStart - 1), into.selectionEnd] : [letter(name), into.selectionStart, into.selectionEnd]), "end");
  S.drafts[document.activeElement.dataset.draft] = document.activeElement.value;
  if (!["shift", "layout"].includes(name)) S.keys.shift = false;
  $("#keyboard").innerHTML = keyboard(S);
});
const letter = (name) => (name === "space" ? " " : S.keys.shift ? name.toUpperCase() : name);

const slide = (event) => {
  const bar = event.target.closest?.("[data-slide]");
  if (!bar) return;
  const box = bar.getBoundingClientRect();
  const share = (event.touches ? event.touches[0].clientX : event.clientX) - box.left;
  S.data[bar.dataset.slide] = Math.min(100, Math.max(0, Math.round((share / box.width) * 10) * 10));
  bar.firstElementChild.style.width = `${S.data[bar.dataset.slide]}%`;
};
["touchstart", "touchmove", "click"].forEach((name) => document.addEventListener(name, slide, {passive: true}));

document.addEventListener("systembutton", (event) => {
  event.preventDefault();
  const typing = document.body.classList.contains("typing");
  document.activeElement.blur();
  if (event.detail === "Home") { S.stack = [S.stack[0]]; S.menu = null; }
  else if (event.detail === "Menu") { S.stack = [S.stack[0], {name: "recents"}]; S.menu = null; }
  else if (!typing) back();
  draw();
});

document.addEventListener("openapp", (event) => {
  const name = APPS.find((app) => app.toLowerCase() === String(event.detail).trim().toLowerCase());
  if (!name) return;
  event.preventDefault();
  document.activeElement.blur();
  S.menu = null;
  go(name, true);
  draw();
});

// --- for those who look from outside ------------------------------------------------------------------------------------

// Where something that can be tapped is: its box in CSS pixels, and the box in which it scrolls; null if it is not there.
function locate(name) {
  const found = [...document.querySelectorAll("[data-id]")].filter((node) => node.dataset.id === name).pop();
  if (!found) return null;
  const box = (node) => { const {left, top, right, bottom} = node.getBoundingClientRect(); return [left, top, right, bottom]; };
  const frame = found.closest(".scroll");
  return {box: box(found), within: frame ? box(frame) : [0, 0, innerWidth, innerHeight]};
}

window.phone = {
  reset, locate,
  names: () => [...document.querySelectorAll("[data-id]")].map((node) => node.dataset.id),
  state: () => ({...JSON.parse(JSON.stringify({data: S.data, look: S.look, drafts: S.drafts, menu: S.menu, chosen: S.chosen})),
    screen: top_().name, of: top_().of || null, focus: document.activeElement.dataset?.draft || null}),
};

reset(Number(new URLSearchParams(location.search).get("seed") || 0));
