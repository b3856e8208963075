// The screens: each is a function of the phone's state that returns HTML. What can be tapped has data-id (its name) and
// data-do (an action of phone.js with its argument); data-hold is what a long press does.
"use strict";

const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]);
const money = (value) => `$${value.toFixed(2)}`;
const tap = (id, act, argument = "") => `data-id="${escaped(id)}" data-do="${act}" data-with="${escaped(argument)}"`;
const hold = (argument) => `data-hold="${escaped(argument)}"`;

const header = (title, {back = true, right = ""} = {}) =>
  `<header>${back ? `<button class="round" ${tap("back", "back")}>${icon("back", 26)}</button>` : ""}<h1>${escaped(title)}</h1>${right}</header>`;
const toggle = (on) => `<span class="switch ${on ? "on" : ""}"><i></i></span>`;
const radio = (on) => `<span class="radio ${on ? "on" : ""}"><i></i></span>`;
const row = (id, act, argument, {glyph, title, note = "", end = "", extra = ""}) =>
  `<div class="row" ${tap(id, act, argument)} ${extra}>${glyph || ""}<div class="text"><b>${escaped(title)}</b>` +
  `${note ? `<small>${escaped(note)}</small>` : ""}</div>${end}</div>`;
const glyph = (name) => `<span class="glyph">${icon(name, 24)}</span>`;
const avatar = (name) => `<span class="avatar" style="background:${TILES[(name.charCodeAt(0) * 7 + name.length) % TILES.length]}">${escaped(name[0])}</span>`;
const add = (id, act) => `<button class="fab" ${tap(id, act)}>${icon("plus", 30, 2.4)}</button>`;
const field = (id, draft, hint) =>
  `<input class="field" type="text" autocomplete="off" spellcheck="false" ${`data-id="${id}"`} data-draft="${id}" value="${escaped(draft || "")}" placeholder="${hint}">`;

const SCREENS = {
  home({look}) {
    const apps = look.apps.map((name, i) =>
      `<div class="app" ${tap(`app ${name}`, "open", name)}><span class="tile" style="--tile:${TILES[(i + look.hue) % TILES.length]}">${icon(name, 40, 1.9)}</span>${name}</div>`);
    return `<div class="home"><div class="now">${clock(look.now)}</div><div class="today">${WORDS.days[look.day]}, ` +
      `${WORDS.months[look.month]} ${look.date}</div><div class="apps">${apps.join("")}</div></div>`;
  },

  recents({recents}) {
    const cards = recents.map((name) => `<div class="recent" ${tap(`recent ${name}`, "open", name)}>${glyph(name)}<b>${name}</b></div>`);
    return `<div class="home recents">${cards.join("") || "<p>No recent apps</p>"}</div>`;
  },

  Settings({data, look}) {
    const rows = look.rows.map((key) => key in SWITCHES
      ? row(SWITCHES[key], "flip", key, {glyph: glyph(key), title: SWITCHES[key], end: toggle(data.switches[key])})
      : row(key, "go", key, {glyph: glyph(key), title: key, end: icon("next", 22)}));
    const about = row("About phone", "go", "About", {glyph: glyph("About"), title: "About phone", end: icon("next", 22)});
    return `${header("Settings")}<div class="scroll list">${rows.join("")}${about}</div>`;
  },

  Display({data}) {
    const sizes = SIZES.map((size) => row(`Text size ${size}`, "set", `size=${size}`, {title: size, end: radio(data.size === size)}));
    return `${header("Display")}<div class="scroll list">` +
      row("Dark theme", "set", `dark=${data.dark ? "" : "1"}`, {title: "Dark theme", end: toggle(data.dark)}) +
      `<h2>Brightness</h2><div class="slide" data-id="Brightness" data-slide="brightness"><i style="width:${data.brightness}%"></i></div>` +
      `<h2>Text size</h2>${sizes.join("")}</div>`;
  },

  Sound({data, look}) {
    const tones = look.ringtones.map((tone) => row(`Ringtone ${tone}`, "set", `ringtone=${tone}`, {title: tone, end: radio(data.ringtone === tone)}));
    return `${header("Sound")}<div class="scroll list">` +
      row("Silent mode", "set", `silent=${data.silent ? "" : "1"}`, {title: "Silent mode", end: toggle(data.silent)}) +
      row("Vibrate", "set", `vibrate=${data.vibrate ? "" : "1"}`, {title: "Vibrate", end: toggle(data.vibrate)}) +
      `<h2>Ringtone</h2>${tones.join("")}</div>`;
  },

  About({look}) {
    const facts = [["Model", look.model], ["System version", look.version], ["Battery", `${look.battery} %`], ["Free storage", `${look.storage} GB`]];
    return `${header("About phone")}<div class="scroll list">` +
      facts.map(([name, value]) => `<div class="row"><div class="text"><b>${name}</b></div><span class="value">${value}</span></div>`).join("") + "</div>";
  },

  Messages({data, look}) {
    const rows = data.conversations.map(({name, messages}) => {
      const last = messages[messages.length - 1];
      const unread = look.unread[name];
      return `<div class="row ${unread ? "unread" : ""}" ${tap(name, "go", `Conversation=${name}`)} ${hold(`conversation=${name}`)}>${avatar(name)}` +
        `<div class="text"><b>${escaped(name)}</b><small>${last.mine ? "You: " : ""}${escaped(last.text)}</small></div>` +
        `<span class="side"><small>${look.ages[name]}</small>${unread ? "<u></u>" : ""}</span></div>`;
    });
    return `${header("Messages")}<div class="scroll list">${rows.join("") || "<p class=empty>No conversations</p>"}</div>`;
  },

  Conversation({data, top, drafts}) {
    const {name, messages} = data.conversations.find((one) => one.name === top.of);
    const bubbles = messages.map(({mine, text}) => `<div class="bubble ${mine ? "mine" : ""}">${escaped(text)}</div>`);
    return `${header(name)}<div class="scroll talk">${bubbles.join("")}</div><footer>${field("message", drafts.message, "Message")}` +
      `<button class="round full" ${tap("Send", "send")}>${icon("send", 24)}</button></footer>`;
  },

  Clock(state) {
    const tab = state.top.of || "Alarm";
    const tabs = ["Alarm", "Timer"].map((name) => `<button class="tab ${name === tab ? "on" : ""}" ${tap(`tab ${name}`, "tab", name)}><span>${icon(name, 24)}</span>${name}</button>`);
    return `${header("Clock")}${tab === "Alarm" ? alarms(state) : timers(state)}<nav>${tabs.join("")}</nav>`;
  },

  NewAlarm({chosen}) {
    const cells = (name, values, on) => values.map((value) => `<button class="cell ${value === on ? "on" : ""}" ${tap(`${name} ${two(value)}`, name, value)}>${two(value)}</button>`).join("");
    return `${header("New alarm")}<div class="scroll"><div class="digits">${two(chosen.hour)}:${two(chosen.minute)}</div>` +
      `<h2>Hour</h2><div class="grid six">${cells("hour", [...Array(24).keys()], chosen.hour)}</div>` +
      `<h2>Minute</h2><div class="grid six">${cells("minute", [0, 10, 15, 20, 30, 45], chosen.minute)}</div></div>` +
      `<footer><button class="wide" ${tap("Save", "saveAlarm")}>Save</button></footer>`;
  },

  Shop({data, look}) {
    const cards = look.goods.map(({name, icon: art, price}, i) =>
      `<div class="card" ${tap(name, "go", `Product=${name}`)}><span class="art" style="--tile:${TILES[(i + look.hue) % TILES.length]}">${icon(art, 64, 1.4)}</span><b>${name}</b><span>${money(price)}</span></div>`);
    return `${header("Shop", {right: basket(data)})}<div class="scroll goods">${cards.join("")}</div>`;
  },

  Product({data, look, top, chosen}) {
    const index = look.goods.findIndex((one) => one.name === top.of);
    const {name, icon: art, price} = look.goods[index];
    return `${header(name, {right: basket(data)})}<div class="scroll product"><span class="art big" style="--tile:${TILES[(index + look.hue) % TILES.length]}">${icon(art, 120, 1.2)}</span>` +
      `<div class="price">${money(price)}</div><div class="count"><button class="round" ${tap("minus", "count", -1)}>${icon("minus")}</button>` +
      `<b>${chosen.count}</b><button class="round" ${tap("plus", "count", 1)}>${icon("plus")}</button></div></div>` +
      `<footer><button class="wide" ${tap("Add to cart", "addToCart", name)}>Add to cart</button></footer>`;
  },

  Cart({data, look}) {
    const price = (name) => look.goods.find((one) => one.name === name).price;
    const rows = data.cart.map(({name, count}) => `<div class="row"><div class="text"><b>${name}</b><small>${count} x ${money(price(name))}</small></div>` +
      `<button class="round" ${tap(`Remove ${name}`, "dropFromCart", name)} aria-label="Remove">${icon("trash")}</button></div>`);
    const total = data.cart.reduce((sum, {name, count}) => sum + count * price(name), 0);
    if (!rows.length) return `${header("Cart")}<p class="empty">Your cart is empty</p>`;
    return `${header("Cart")}<div class="scroll list">${rows.join("")}</div><footer class="total"><div><small>Total</small><b>${money(total)}</b></div>` +
      `<button class="wide" ${tap("Place order", "order")}>Place order</button></footer>`;
  },

  Ordered() {
    return `${header("Order")}<div class="done"><span>${icon("check", 64, 2.4)}</span><b>Order placed</b><button class="wide" ${tap("Done", "done")}>Done</button></div>`;
  },

  Notes({data}) {
    const cards = data.notes.map((note) => `<div class="note" ${tap(note.title, "go", `Note=${note.title}`)} ${hold(`note=${note.title}`)}><b>${escaped(note.title)}</b>` +
      `<small>${note.items ? `${note.items.filter((item) => item.done).length} of ${note.items.length} done` : escaped(note.body)}</small></div>`);
    return `${header("Notes")}<div class="scroll notes">${cards.join("") || "<p class=empty>No notes</p>"}</div>${add("new note", "newNote")}`;
  },

  Note({data, top}) {
    const note = data.notes.find((one) => one.title === top.of);
    const body = note.items
      ? note.items.map(({text, done}, i) => row(`item ${text}`, "tick", `${note.title}=${i}`, {glyph: `<span class="box ${done ? "on" : ""}">${done ? icon("check", 20, 3) : ""}</span>`, title: text, extra: done ? "data-done" : ""})).join("")
      : `<p class="body">${escaped(note.body)}</p>`;
    return `${header(note.title)}<div class="scroll list">${body}</div>`;
  },

  NewNote({drafts}) {
    return `${header("New note")}<div class="scroll form">${field("title", drafts.title, "Title")}</div>` +
      `<footer><button class="wide" ${tap("Save", "saveNote")}>Save</button></footer>`;
  },

  Weather({look}) {
    const [today, ...rest] = look.week;
    const rows = rest.map(({day, sky, high}) => `<div class="row">${glyph(sky)}<div class="text"><b>${day}</b><small>${sky}</small></div><span class="value">${high}°</span></div>`);
    return `${header("Weather")}<div class="scroll list"><div class="sky">${icon(today.sky, 72, 1.5)}<div><b>${today.high}°</b><span>${today.sky} in ${look.city}</span></div></div>${rows.join("")}</div>`;
  },
};

function alarms({data}) {
  const rows = data.alarms.map(({time, on, label}) => `<div class="row alarm" ${tap(`alarm ${time}`, "flipAlarm", time)} ${hold(`alarm=${time}`)}>` +
    `<div class="text"><b>${time}</b><small>${escaped(label)}</small></div>${toggle(on)}</div>`);
  return `<div class="scroll list">${rows.join("") || "<p class=empty>No alarms</p>"}</div>${add("new alarm", "newAlarm")}`;
}

function timers({data, look, chosen}) {
  if (data.timer) {
    return `<div class="scroll"><div class="ring"><b>${data.timer}:00</b><small>ends at ${clock(look.now + data.timer)}</small></div>` +
      `<button class="wide pale" ${tap("Cancel", "stopTimer")}>Cancel</button></div>`;
  }
  const cells = look.timers.map((minutes) => `<button class="cell tall ${chosen.timer === minutes ? "on" : ""}" ${tap(`${minutes} min`, "timer", minutes)}><b>${minutes}</b> min</button>`);
  return `<div class="scroll"><div class="digits">${two(chosen.timer || 0)}:00</div><div class="grid three">${cells.join("")}</div>` +
    `<button class="wide" ${tap("Start", "startTimer")}>Start</button></div>`;
}

function basket(data) {
  const count = data.cart.reduce((sum, one) => sum + one.count, 0);
  return `<button class="round cart" ${tap("Cart", "go", "Cart")}>${icon("cart", 28)}${count ? `<em>${count}</em>` : ""}</button>`;
}

function sheet({menu}) {
  if (!menu) return "";
  return `<div class="veil" ${tap("close menu", "closeMenu")}></div><div class="panel"><h2>${escaped(menu.of)}</h2>` +
    row("Pin to top", "pinUp", "", {glyph: glyph("pin"), title: "Pin to top"}) + row("Delete", "remove", "", {glyph: glyph("trash"), title: "Delete"}) +
    row("Cancel", "closeMenu", "", {glyph: glyph("back"), title: "Cancel"}) + "</div>";
}

const KEY_ROWS = {
  letters: ["qwertyuiop", "asdfghjkl", "^zxcvbnm<", "12 _ .!"],
  digits: ["1234567890", "-/:;()$&@\"", "#.,?!'<", "ab _ .!"],
};

function keyboard({keys}) {
  const named = {"^": ["shift", icon("shift", 22)], "<": ["backspace", icon("erase", 24)], "_": ["space", ""], "!": ["enter", icon("enter", 24)]};
  const key = (name, face, kind) => `<button class="key ${kind}" data-key="${escaped(name)}">${face}</button>`;
  const last = key("layout", keys.digits ? "abc" : "123", "mark") + key(",", ",", "") + key("space", "", "space") + key(".", ".", "") + key("enter", icon("enter", 24), "mark");
  const rows = KEY_ROWS[keys.digits ? "digits" : "letters"].slice(0, 3).map((line) =>
    `<div>${[...line].map((c) => (c in named && !(keys.digits && c === "!") ? key(named[c][0], named[c][1], "mark") : key(c, keys.shift ? c.toUpperCase() : escaped(c), ""))).join("")}</div>`);
  return `${rows.join("")}<div>${last}</div>`;
}
