'use strict';

const items = [...document.querySelectorAll('.reports > li')].map(element => ({
  element,
  ...element.dataset,
  choices: JSON.parse(element.dataset.choices),
  words: [
    element.textContent,
    ...Object.entries(JSON.parse(element.dataset.choices)).map(([name, value]) => `${name}: ${value}`),
  ].join(' ').replace(/\s+/g, ' ').toLowerCase(),
}));

const search = document.querySelector('.find input');
const sections = [...(document.getElementById('texts')?.content.children ?? [])].map(element => ({
  address: element.getAttribute('href'),
  report: element.title,
  title: element.firstChild.textContent,
  text: element.lastChild === element.firstChild ? '' : element.lastChild.textContent,
}));
for (const section of sections) section.words = `${section.report} ${section.title} ${section.text}`.toLowerCase();
const MOST_HITS = 30, AROUND = 90;
let hits = [];

filterReports(document.querySelector('.choose'));
pickTwo(document.querySelector('.tray'));

function wordsOf(text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

function foundInTexts(text) {
  const words = wordsOf(text);
  if (words.join('').length < 2) return [];
  return sections.filter(section => words.every(word => section.words.includes(word)));
}

function made(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function snippet(text, words) {
  const lower = text.toLowerCase();
  const at = Math.max(0, Math.min(...words.map(word => lower.indexOf(word)).filter(place => place >= 0), text.length) - AROUND);
  const part = text.slice(at, at + 2 * AROUND + 40);
  const line = made('p', at ? '… ' : '');
  let rest = part;
  for (let place; (place = Math.min(...words.map(word => rest.toLowerCase().indexOf(word)).filter(n => n >= 0))) < Infinity;) {
    const word = words.filter(each => rest.toLowerCase().startsWith(each, place)).sort((a, b) => b.length - a.length)[0];
    line.append(rest.slice(0, place), made('mark', rest.slice(place, place + word.length)));
    rest = rest.slice(place + word.length);
  }
  line.append(rest, at + part.length < text.length ? ' …' : '');
  return line;
}

function showHits(hits, words) {
  const pages = new Set(hits.map(hit => hit.address.split('#')[0])).size;
  const more = hits.length > MOST_HITS ? `; the first ${MOST_HITS} are shown` : '';
  const places = hits.length === 1 ? '1 section' : `${hits.length} sections`;
  document.querySelector('.hits').textContent = words.join('').length < 2 ? '' :
    `${places} of ${pages === 1 ? '1 report' : `${pages} reports`}${more}`;
  document.querySelector('.results').replaceChildren(...hits.slice(0, MOST_HITS).map(hit => {
    const item = document.createElement('li');
    const link = made('a', hit.title ? `${hit.report}: ${hit.title}` : hit.report);
    link.href = hit.address;
    item.append(link, snippet(hit.text, words));
    return item;
  }));
}

function filterReports(filters) {
  if (!filters) return;
  const fields = [search, ...filters.querySelectorAll('select')];
  const found = filters.querySelector('[role=status]');
  const everything = filters.querySelector('button');

  function shows(item) {
    return fields.every(({name, value}) => {
      if (!value.trim()) return true;
      if (name === 'q') return wordsOf(value).every(word => item.words.includes(word)) || hits.some(hit => hit.address.startsWith(`${item.name}.html`));
      if (name.startsWith('p.')) return item.choices[name.slice(2)] === value;
      return item[name] === value;
    });
  }

  function update() {
    hits = foundInTexts(search.value);
    showHits(hits, wordsOf(search.value));
    for (const item of items) item.element.hidden = !shows(item);
    const left = items.filter(item => !item.element.hidden).length;
    found.textContent = left === items.length ? `${left} reports` : `${left} of ${items.length} reports`;
    const asked = fields.filter(field => field.value.trim());
    everything.hidden = asked.length === 0;
    const state = new URLSearchParams(asked.map(({name, value}) => [name, value.trim()])).toString();
    if (state || location.hash.includes('=')) history.replaceState(null, '', `#${state}`);
  }

  function read() {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) {
      field.value = asked.get(field.name) ?? '';
      if (field.selectedIndex === -1) field.value = '';
    }
    update();
  }

  for (const field of fields) field.addEventListener('input', update);
  everything.addEventListener('click', () => {
    for (const field of fields) field.value = '';
    update();
    fields[0].focus();
  });
  addEventListener('hashchange', () => document.getElementById(location.hash.slice(1)) || read());
  filters.hidden = search.closest('.find').hidden = false;
  read();
}

function pickTwo(tray) {
  if (!tray) return;
  const boxes = [...document.querySelectorAll('.pick input')];
  const [status, link, clear] = ['[role=status]', 'a', 'button'].map(part => tray.querySelector(part));
  const notebook = Object.fromEntries(items.map(item => [item.name, item.notebook]));

  function update() {
    const picked = boxes.filter(box => box.checked).map(box => box.value);
    for (const box of boxes) {
      box.disabled = !box.checked && picked.length > 0 &&
        (picked.length === 2 || notebook[box.value] !== notebook[picked[0]]);
    }
    tray.hidden = picked.length === 0;
    link.hidden = picked.length < 2;
    link.href = `compare.html#${new URLSearchParams({left: picked[0] ?? '', right: picked[1] ?? ''})}`;
    status.textContent = picked.length < 2 ? 'Choose another report of the same question.' : 'Two reports are chosen.';
  }

  for (const box of boxes) {
    box.closest('.pick').hidden = false;
    box.addEventListener('change', update);
  }
  clear.addEventListener('click', () => {
    for (const box of boxes) box.checked = false;
    update();
  });
  addEventListener('pageshow', update);
}
