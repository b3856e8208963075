// Puts the phone of assets/phone into a state that a seed chooses, whichever way would have led there.
//
// The file is one expression: a function of [seed, words] that shows any screen, scrolled, with a menu, a timer, a filled cart or
// chosen values as it comes. `words` replaces lists of WORDS (data.js) for this once.
([seed, words]) => {
  const kept = {...WORDS};
  Object.assign(WORDS, words);
  reset(seed);
  Object.assign(WORDS, kept);

  const r = generator(seed + 1e6), {data, look} = S;
  const weighted = (pairs) => {
    let left = r.next() * pairs.reduce((sum, [, weight]) => sum + weight, 0);
    return (pairs.find(([, weight]) => (left -= weight) < 0) || pairs[0])[0];
  };
  const goods = look.goods.map((one) => one.name);
  const [app, place, of] = weighted([
    [["home"], 1], [["recents"], 0.3], [["Settings"], 2], [["Settings", "Display"], 1], [["Settings", "Sound"], 1], [["Settings", "About"], 2],
    [["Messages"], 4], [["Messages", "Conversation", r.pick(data.conversations).name], 4],
    [["Clock"], 2], [["Clock", "Clock", "Timer"], 1], [["Clock", "NewAlarm"], 1],
    [["Shop"], 4.5], [["Shop", "Product", r.pick(goods)], 3], [["Shop", "Cart"], 1.5], [["Shop", "Ordered"], 0.3],
    [["Notes"], 2.5], [["Notes", "Note", r.pick(data.notes).title], 2], [["Notes", "NewNote"], 1.5], [["Weather"], 3],
  ]);
  if (app === "recents") S.recents = r.some(APPS, r.between(0, 4));
  if (app !== "home") S.stack.push({name: app});
  if (app === "Clock" && of) S.stack[1].of = of;
  else if (place) S.stack.push({name: place, of});
  if (app === "Shop" && r.coin(0.5)) data.cart = r.some(goods, r.between(1, 3)).map((name) => ({name, count: r.between(1, 3)}));
  if (place === "Product") S.chosen.count = r.between(1, 4);
  if (place === "NewAlarm") Object.assign(S.chosen, {hour: r.below(24), minute: r.pick([0, 10, 15, 20, 30, 45])});
  if (of === "Timer" && r.coin(0.7)) S.chosen.timer = r.pick(look.timers);
  if (of === "Timer" && r.coin(0.2)) data.timer = S.chosen.timer || 5;
  if (place === "Conversation" && r.coin(0.3)) data.conversations.find((one) => one.name === of).messages.push({mine: r.coin(), text: r.pick(WORDS.replies)});
  const lists = {Messages: ["conversation", data.conversations.map((one) => one.name)], Notes: ["note", data.notes.map((one) => one.title)],
    Clock: ["alarm", data.alarms.map((one) => one.time)]};
  if (!place && app in lists && r.coin(0.4)) S.menu = {kind: lists[app][0], of: r.pick(lists[app][1])};
  if (r.coin(0.4)) S.scrolls[key()] = r.below(400);
  draw();
}
