'use strict';

const box = document.querySelector('.explorer');
const data = JSON.parse(document.getElementById('explored').content.textContent);
const SVG = 'http://www.w3.org/2000/svg';
const [outcome, population, type, dose] = ['outcome', 'population', 'type', 'dose'].map(name => box.querySelector(`select[name=${name}]`));
const selects = [outcome, population, type, dose];
const lists = [data.outcomes, data.populations, data.types, data.doses];
const range = box.querySelector('input');
const part = name => box.querySelector(name);
const named = (list, name) => list.find(each => each.name === name);
const known = new Map(data.explored.map(each => [each.choice.join('|'), each]));
const NUMBER = /^-?\d+(\.\d+)?$/;
const HEIGHT = 340, LEFT = 52, RIGHT = 64, TOP = 14, BOTTOM = 46;

start();

function start() {
  selects.forEach((select, n) => select.replaceChildren(...lists[n].map(each => new Option(each.label, each.name))));
  for (const select of selects) select.addEventListener('input', () => { if (select === dose) setRange(); changed(); });
  range.addEventListener('input', changed);
  addEventListener('hashchange', () => location.hash.includes('outcome=') && read());
  box.hidden = false;
  read();
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) > 1) { width = entry.contentRect.width; draw(); }
  }).observe(part('.drawn'));
}

function read() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const select of selects) if ([...select.options].some(each => each.value === asked.get(select.name))) select.value = asked.get(select.name);
  setRange();
  if (NUMBER.test(asked.get('at') ?? '')) range.value = asked.get('at');
  update();
}

function setRange() {
  const scale = named(data.doses, dose.value);
  range.min = range.step = scale.step;
  range.max = scale.largest;
  range.value = typical();
}

function chosen() {
  return known.get(selects.map(select => select.value).join('|'));
}

function typical() {
  const here = chosen() ?? data.explored.find(each => each.choice[3] === dose.value);
  return here.typical;
}

function filled(words, values) {
  return words.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

function grouped(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

function plural(count, noun) {
  return `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`;
}

function given(value) {
  const scale = named(data.doses, dose.value);
  return `${Number(value)} ${Number(value) === 1 ? scale.one : scale.many}`;
}

function rowAt(here, at) {
  return here.rows.find(row => Math.abs(row[0] - at) < 1e-9);
}

function refusal(here, at) {
  const {words} = data, studied = here.studied;
  const low = studied[0], high = studied[studied.length - 1];
  const nobody = filled(words.nobody, {dose: given(at)});
  if (at < low || at > high) return `${nobody} ${filled(low === high ? words.only : words.reach, {low, high: given(high)})}`;
  const below = studied.filter(each => each < at).pop(), above = studied.find(each => each > at);
  return `${nobody} ${filled(words.nearest, {low: below, high: given(above)})}`;
}

function effect(row) {
  const about = named(data.outcomes, outcome.value);
  const [at, estimate, low, high] = row;
  const clear = low > 0 || high < 0;
  const numbers = clear ? [Math.abs(estimate), ...[Math.abs(low), Math.abs(high)].sort((a, b) => a - b)] : [estimate, low, high];
  const [middle, near, far] = numbers.map(each => signed(each, about.digits));
  return filled(clear ? data.words.clear : data.words.unclear, {
    dose: given(at), outcome: about.words, unit: about.unit, estimate: middle, low: near, high: far,
    way: estimate < 0 ? 'lower' : 'higher',
  });
}

function said(here, at) {
  if (!here) return [data.words.nothing, ''];
  const outside = at < here.studied[0] || at > here.studied[here.studied.length - 1];
  if (outside) return [refusal(here, at), ''];
  if (!here.rows.length) return [here.said, `Trials: ${here.trials}, ${plural(here.participants, 'participant')}.`];
  const row = rowAt(here, at);
  if (!row || !row[6]) return [refusal(here, at), ''];
  const scale = named(data.doses, dose.value), why = data.reasons[row[9]];
  return [
    effect(row),
    `About this dose (within ${scale.about} ${scale.many}): ${plural(row[6], 'trial')}, ${plural(row[7], 'participant')}. ` +
    `The curve rests on ${plural(here.trials, 'trial')}. Certainty: ${row[8]}${why ? ` (${why})` : ''}.`,
  ];
}

function update() {
  const here = chosen(), at = Number(range.value);
  part('.given').textContent = given(at);
  range.setAttribute('aria-valuetext', given(at));
  const [first, second] = said(here, at);
  part('.effect').textContent = first;
  part('.rests').textContent = second;
  part('.told').classList.toggle('refused', !(here && rowAt(here, at)?.[6]));
  part('.matters').textContent = here && here.rows.length ? here.said : '';
  mark();
  links();
  list(here);
  draw();
}

function changed() {
  update();
  history.replaceState(null, '', `#${new URLSearchParams([...selects, range].map(({name, value}) => [name, value]))}`);
}

function mark() {
  selects.forEach((select, n) => {
    for (const option of select.options) {
      const others = selects.map((each, m) => m === n ? option.value : each.value).join('|');
      option.textContent = named(lists[n], option.value).label + (known.has(others) ? '' : ' (no trial)');
    }
  });
}

function links() {
  const found = [...document.querySelectorAll('.turn a[data-outcome]')]
    .filter(each => each.dataset.outcome === outcome.value && each.dataset.dose === dose.value);
  part('.more').hidden = found.length === 0;
  part('.more span').replaceChildren(...found.flatMap((each, n) => {
    const link = each.cloneNode(true);
    link.hidden = false;
    return n ? [', ', link] : [link];
  }));
}

function cells(tag, texts) {
  const row = document.createElement('tr');
  row.append(...texts.map(text => Object.assign(document.createElement(tag), {textContent: text})));
  return row;
}

function list(here) {
  part('.along').hidden = !here || !here.rows.length;
  if (part('.along').hidden) return;
  const {digits, words} = named(data.outcomes, outcome.value);
  part('.along thead').replaceChildren(cells('th', [named(data.doses, dose.value).label, `Difference in ${words} [95% CI]`, 'Trials about it', 'Participants', 'Certainty']));
  part('.along tbody').replaceChildren(...here.rows.map(([at, estimate, low, high, , , trials, people, certainty]) => cells('td',
    trials ? [String(at), `${signed(estimate, digits)} [${signed(low, digits)}, ${signed(high, digits)}]`, String(trials), grouped(people), certainty]
      : [String(at), 'not studied', '0', '0', '–'])));
}

function ticks(low, high, most) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(each => each * power).find(each => each >= rough);
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9; n++) found.push(Number((n * step).toPrecision(10)));
  return found;
}

function limits(here, mcid) {
  const middle = [0, mcid ?? 0, ...here.points.map(point => point[1]), ...here.rows.map(row => row[1])];
  const low = Math.min(...middle), high = Math.max(...middle), reach = (high - low) / 2;
  const ends = [Math.min(low, Math.max(low - reach, ...ofRows(here, 2, Math.min))), Math.max(high, Math.min(high + reach, ...ofRows(here, 3, Math.max)))];
  const space = 0.06 * (ends[1] - ends[0]) || 1;
  return [ends[0] - space, ends[1] + space];
}

function ofRows(here, place, best) {
  return here.rows.length ? [best(...here.rows.map(row => row[place]))] : [];
}

function draw() {
  const here = chosen(), at = Number(range.value), scale = named(data.doses, dose.value);
  const place = part('.drawn'), caption = part('figcaption');
  place.replaceChildren();
  caption.textContent = '';
  if (!here) return;
  const about = named(data.outcomes, outcome.value);
  const mcid = about.mcid ? about.benefit * about.mcid : null;
  const width = Math.max(280, Math.min(place.clientWidth, 760));
  const svg = element('svg', {viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: 'img', 'aria-label': `${about.axis} by ${scale.many}. ${said(here, at)[0]}`});
  const [low, high] = limits(here, mcid);
  const x = value => LEFT + value / scale.largest * (width - LEFT - RIGHT);
  const y = value => TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);
  const line = (name, x1, y1, x2, y2) => svg.append(element('line', {class: name, x1, y1, x2, y2}));
  const path = (name, points) => inside.append(element('path', {class: name, d: `M${points.map(([a, b]) => `${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join('L')}`}));
  const clip = element('clipPath', {id: 'inside'});
  clip.append(element('rect', {x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM}));
  const inside = element('g', {'clip-path': 'url(#inside)'});
  svg.append(clip);

  for (const tick of ticks(low, high, 6)) {
    line('grid', LEFT, y(tick), width - RIGHT, y(tick));
    svg.append(text('tick', LEFT - 6, y(tick) + 4, signed(tick, Number.isInteger(tick) ? 0 : 1), 'end'));
  }
  for (const tick of ticks(0, scale.largest, width < 480 ? 5 : 9)) svg.append(text('tick', x(tick), HEIGHT - BOTTOM + 16, String(tick), 'middle'));
  svg.append(text('name', LEFT, HEIGHT - 10, scale.label, 'start'));
  line('zero', LEFT, y(0), width - RIGHT, y(0));
  svg.append(text('tick', width - RIGHT + 4, y(0) + 4, 'none', 'start'));
  if (mcid !== null) {
    line('mcid', LEFT, y(mcid), width - RIGHT, y(mcid));
    svg.append(text('tick', width - RIGHT + 4, y(mcid) + 4, `MCID ${signed(mcid, 0)}`, 'start'));
  }
  if (here.rows.length) {
    path('band', [...here.rows.map(row => [row[0], row[2]]), ...here.rows.map(row => [row[0], row[3]]).reverse()]);
    path('curve unknown', here.rows.map(row => [row[0], row[1]]));
    here.rows.slice(1).forEach((row, n) => { if (row[6] && here.rows[n][6]) path('curve', [here.rows[n], row].map(each => [each[0], each[1]])); });
  }
  svg.append(inside);
  const most = Math.max(...here.points.map(point => 1 / (point[2] || 1)));
  for (const [where, value, error, label] of here.points) {
    const circle = element('circle', {class: 'trial', cx: x(where), cy: y(value), r: 2.5 + 5 * Math.sqrt(1 / (error || 1) / most)});
    const title = element('title', {});
    title.textContent = `${label}: ${signed(value, about.digits)} at ${given(where)}`;
    circle.append(title);
    svg.append(circle);
  }
  for (const studied of here.studied) line('studied', x(studied), HEIGHT - BOTTOM, x(studied), HEIGHT - BOTTOM - 7);
  const row = rowAt(here, at), told = row?.[6];
  line(told ? 'at' : 'at nobody', x(at), TOP, x(at), HEIGHT - BOTTOM);
  if (told) {
    const kept = value => Math.max(low, Math.min(high, value));
    line('interval', x(at), y(kept(row[2])), x(at), y(kept(row[3])));
    svg.append(element('circle', {class: 'estimate', cx: x(at), cy: y(row[1]), r: 5}));
  }
  place.append(svg);
  caption.textContent = `${about.axis}, against no exercise. ${here.rows.length ? 'Line and band: mean effect and 95% confidence interval, dashed where nobody studied the dose. ' : ''}` +
    'Circles: trial arms, larger where more precise; short lines at the foot: doses studied; tall line: the dose chosen.';
}

function element(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function text(name, x, y, words, anchor) {
  const made = element('text', {class: name, x, y, 'text-anchor': anchor});
  made.textContent = words;
  return made;
}
