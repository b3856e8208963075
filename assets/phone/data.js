// What a phone may hold, and how a seed chooses from it. Nothing here is drawn.
"use strict";

const WORDS = {
  names: ["Ada", "Amir", "Anna", "Ben", "Bruno", "Carla", "Chen", "Clara", "Dana", "David", "Elena", "Emma", "Erik", "Fatima",
    "Felix", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jana", "Jonas", "Julia", "Kai", "Karim", "Laura", "Leo", "Lina", "Lucas",
    "Maria", "Marta", "Max", "Mei", "Mila", "Nadia", "Nina", "Noah", "Nora", "Oscar", "Paul", "Petra", "Priya", "Rosa", "Sam",
    "Sara", "Simon", "Sofia", "Tara", "Theo", "Tom", "Vera", "Victor", "Wei", "Yara", "Yuki", "Zoe"],
  lines: ["See you at noon", "The train is late", "Call me later", "Happy birthday", "I found your keys", "Dinner at eight",
    "Thanks for the help", "The meeting moved", "Are you home yet", "I am on my way", "Bring the red bag", "Good luck today",
    "We need more milk", "Lunch was great", "The cat is fine", "Check your email", "Room four is free", "It starts at nine",
    "Let us walk there", "I booked two seats", "The door is open", "Sleep well", "Take the blue line", "Ask your sister",
    "Your parcel came", "Back in ten minutes", "The rain has stopped", "I like the photo", "Wait at the gate", "Try the soup"],
  replies: ["Okay", "Sounds good", "On my way", "Thank you", "See you soon", "Not yet", "Call you back", "Good morning",
    "Great idea", "I will be late", "Yes please", "No problem", "Almost there", "Good night", "Maybe later", "Well done"],
  notes: ["Garden plan", "Book list", "Trip ideas", "Gift ideas", "Recipe", "Work log", "Packing", "Reading", "Budget", "Movies",
    "Car papers", "House plants", "Training", "Phone bills", "Questions", "Class times"],
  bodies: ["Start with the small one first", "Ask again on Monday", "Two of each are enough", "Look at the old list",
    "The blue folder on the desk", "Compare the prices", "Try it on the weekend", "Keep the receipt", "Half an hour a day",
    "Next to the window"],
  lists: ["Groceries", "Weekend", "Party", "Errands", "Picnic", "Breakfast"],
  items: ["Milk", "Bread", "Eggs", "Apples", "Rice", "Coffee", "Butter", "Cheese", "Tea", "Honey", "Soap", "Candles", "Pears",
    "Salt", "Juice", "Flour"],
  labels: ["Wake up", "Work", "School", "Gym", "Medicine", "Bus", "Walk the dog", "Weekend"],
  goods: [["Mug", "mug"], ["Tea cup", "mug"], ["Desk lamp", "lamp"], ["Night light", "lamp"], ["Novel", "book"],
    ["Cookbook", "book"], ["Cactus", "plant"], ["Fern", "plant"], ["Headphones", "headphones"], ["Backpack", "bag"],
    ["Handbag", "bag"], ["Wall clock", "clockface"], ["Watch", "clockface"], ["Umbrella", "umbrella"], ["Parasol", "umbrella"],
    ["Camera", "camera"], ["Basketball", "ball"], ["Beach ball", "ball"], ["Bottle", "bottle"], ["Flask", "bottle"],
    ["Scarf", "scarf"], ["Towel", "scarf"], ["Guitar", "guitar"], ["Ukulele", "guitar"]],
  ringtones: ["Chime", "Marimba", "Pulse", "Waves", "Harp", "Beacon", "Echo", "Dawn"],
  models: ["Nova", "Aster", "Lumen", "Orbit", "Pixie", "Terra"],
  cities: ["Berlin", "Lima", "Oslo", "Kyoto", "Porto", "Dublin", "Cairo", "Perth", "Quito", "Turin"],
  skies: ["Sunny", "Cloudy", "Rain", "Snow", "Storm", "Windy"],
  days: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
  months: ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"],
};

const APPS = ["Settings", "Messages", "Clock", "Shop", "Notes", "Weather"];
const SWITCHES = {airplane: "Airplane mode", wifi: "Wi-Fi", bluetooth: "Bluetooth", data: "Mobile data", location: "Location",
  saver: "Battery saver", rotate: "Auto-rotate", hotspot: "Hotspot"};
const SIZES = ["Small", "Medium", "Large"];
const ACCENTS = ["#3457d5", "#0b7a5c", "#8a3ffc", "#b3261e", "#00658f", "#a8480b"];
const ACCENTS_DARK = ["#adc2ff", "#7ddcb5", "#d5bbff", "#ffb4ab", "#85cfff", "#ffb68c"];
const WALLPAPERS = [["#5b86e5", "#36d1dc"], ["#ff9a8b", "#ff6a88"], ["#43cea2", "#185a9d"], ["#f6d365", "#fda085"],
  ["#667eea", "#764ba2"], ["#3a6073", "#16222a"], ["#c9d6ff", "#8aa4d6"], ["#0f2027", "#2c7744"]];
const TILES = ["#e57373", "#64b5f6", "#81c784", "#ffb74d", "#ba68c8", "#4db6ac", "#f06292", "#9575cd"];

// mulberry32: a small generator with a 32-bit state, the same on every machine
function generator(seed) {
  let state = (seed * 2654435761 + 974711) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (count) => Math.floor(next() * count);
  const shuffled = (list) => {
    const copy = [...list];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [copy[i], copy[j]] = [copy[j], copy[i]];
    }
    return copy;
  };
  return {next, below, shuffled, pick: (list) => list[below(list.length)], some: (list, count) => shuffled(list).slice(0, count),
    between: (low, high) => low + below(high - low + 1), coin: (share = 0.5) => next() < share};
}

const two = (number) => String(number).padStart(2, "0");
const clock = (minutes) => `${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}`;

// The contents of a phone: `data` is what goals speak of, `look` is how it appears and where things stand.
function contents(seed) {
  const r = generator(seed);
  const now = r.between(7 * 60, 22 * 60);
  const people = r.some(WORDS.names, r.between(5, 8));
  const lines = r.shuffled(WORDS.lines);
  const conversations = people.map((name, i) => ({
    name,
    messages: [{mine: false, text: lines[3 * i]}, ...(r.coin() ? [{mine: true, text: r.pick(WORDS.replies)}] : []),
      {mine: false, text: lines[3 * i + 1]}],
  }));
  const alarms = r.some([...Array(18)].map((_, i) => 300 + 15 * i), r.between(3, 4)).sort((a, b) => a - b)
    .map((minutes, i) => ({time: clock(minutes), on: r.coin(), label: r.pick(WORDS.labels)}));
  const goods = r.some(WORDS.goods, 8).map(([name, icon]) => ({name, icon, price: r.between(3, 90) + r.pick([0, 0.5, 0.9, 0.99])}));
  const titles = r.some(WORDS.notes, r.between(2, 3));
  const list = {title: r.pick(WORDS.lists), items: r.some(WORDS.items, r.between(4, 5)).map((text) => ({text, done: r.coin(0.25)}))};
  const notes = r.shuffled([...titles.map((title) => ({title, body: r.pick(WORDS.bodies)})), list]);
  const day = r.below(7);
  const forecast = (i) => {
    const sky = r.pick(WORDS.skies);
    return {day: WORDS.days[(day + i) % 7], sky, high: sky === "Snow" ? r.between(-9, 1) : r.between(5, sky === "Sunny" ? 34 : 24)};
  };
  let age = now;
  return {
    data: {
      switches: Object.fromEntries(Object.keys(SWITCHES).map((key) => [key, r.coin()])),
      dark: r.coin(0.4), size: r.pick(SIZES), brightness: r.between(2, 9) * 10, ringtone: "", vibrate: r.coin(), silent: r.coin(0.3),
      conversations, alarms, timer: null, cart: [], orders: [], notes,
    },
    look: {
      now, day, date: r.between(1, 28), month: r.below(12), battery: r.between(22, 99),
      accent: r.below(ACCENTS.length), wallpaper: r.below(WALLPAPERS.length), apps: r.shuffled(APPS),
      rows: r.shuffled([...Object.keys(SWITCHES), "Display", "Sound"]), ringtones: r.some(WORDS.ringtones, 5),
      unread: Object.fromEntries(people.map((name) => [name, r.coin(0.35)])),
      ages: Object.fromEntries(people.map((name) => [name, clock(age = Math.max(0, age - r.between(6, 55)))])),
      goods, hue: r.below(8),
      model: `${r.pick(WORDS.models)} ${r.between(2, 9)}`, version: `${r.between(11, 16)}.${r.between(0, 9)}`,
      storage: r.between(12, 118),
      city: r.pick(WORDS.cities),
      week: [...Array(6)].map((_, i) => forecast(i)),
      timers: [1, 3, 5, 10, 15, 20, 30, 45, 60], choice: r.below(5),
    },
  };
}
