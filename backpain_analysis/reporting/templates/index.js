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

filterReports(document.querySelector('.filters'));
pickTwo(document.querySelector('.tray'));

function filterReports(filters) {
  if (!filters) return;
  const fields = [...filters.querySelectorAll('input, select')];
  const found = filters.querySelector('[role=status]');
  const everything = filters.querySelector('button');

  function shows(item) {
    return fields.every(({name, value}) => {
      if (!value.trim()) return true;
      if (name === 'q') return value.toLowerCase().trim().split(/\s+/).every(word => item.words.includes(word));
      if (name.startsWith('p.')) return item.choices[name.slice(2)] === value;
      return item[name] === value;
    });
  }

  function update() {
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

  filters.addEventListener('input', update);
  everything.addEventListener('click', () => {
    for (const field of fields) field.value = '';
    update();
    fields[0].focus();
  });
  addEventListener('hashchange', () => document.getElementById(location.hash.slice(1)) || read());
  filters.hidden = false;
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
