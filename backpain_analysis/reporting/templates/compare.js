'use strict';

const runs = new Map([...document.querySelectorAll('template')].map(template => [template.dataset.name, {
  name: template.dataset.name,
  notebook: template.dataset.notebook,
  choices: JSON.parse(template.dataset.choices),
  content: template.content,
  title: template.content.querySelector('h3').textContent,
}]));
const [left, right] = document.querySelectorAll('.filters select');
const same = document.getElementById('same');
const table = document.querySelector('.differences');

function made(tag, text, attributes = {}) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.textContent = text;
  return element;
}

function row(tag, cells) {
  const line = document.createElement('tr');
  line.append(...cells.map((text, n) => made(n ? tag : 'th', text, n && tag === 'td' ? {} : {scope: tag === 'td' ? 'row' : 'col'})));
  return line;
}

function offerTheOthers() {
  const {notebook} = runs.get(left.value);
  for (const option of right.options) {
    option.hidden = option.disabled = runs.get(option.value).notebook !== notebook || option.value === left.value;
  }
  for (const group of right.querySelectorAll('optgroup')) {
    group.hidden = [...group.children].every(option => option.hidden);
  }
  if (!right.value || right.selectedOptions[0].disabled) {
    right.value = [...right.options].find(option => !option.disabled).value;
  }
}

function showChoices(pair) {
  const names = [...new Set(pair.flatMap(run => Object.keys(run.choices)))];
  const differing = names.filter(name => pair[0].choices[name] !== pair[1].choices[name]);
  const line = name => {
    const made = row('td', [name, ...pair.map(run => run.choices[name] ?? 'not set')]);
    made.className = differing.includes(name) ? 'differs' : '';
    return made;
  };
  table.caption.textContent = differing.length
    ? `${differing.length} of ${names.length} choices differ`
    : `All ${names.length} choices are the same`;
  table.tHead.replaceChildren(row('th', ['Choice', ...pair.map(run => run.title)]));
  table.tBodies[0].replaceChildren(...names.filter(name => same.checked || differing.includes(name)).map(line));
}

function frame(run) {
  const page = made('iframe', '', {title: run.title, src: `${run.name}.html`});
  page.setAttribute('sandbox', '');
  return page;
}

function show() {
  offerTheOthers();
  const pair = [left, right].map(select => runs.get(select.value));
  document.getElementById('summaries').replaceChildren(...pair.map(run => run.content.cloneNode(true)));
  showChoices(pair);
  document.getElementById('frames').replaceChildren(...pair.map(frame));
  history.replaceState(null, '', `#${new URLSearchParams({left: left.value, right: right.value})}`);
}

function read() {
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const select of [left, right]) {
    if (runs.has(asked.get(select.name))) select.value = asked.get(select.name);
  }
  show();
}

document.querySelector('.filters').hidden = false;
for (const select of [left, right]) select.addEventListener('change', show);
same.addEventListener('change', () => showChoices([left, right].map(select => runs.get(select.value))));
read();
