// Draws the page from its data. Text goes into the page as text only, never as markup.
(() => {
  'use strict';
  const data = JSON.parse(document.getElementById('data').textContent);
  const $ = (id) => document.getElementById(id);
  const h = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) node.setAttribute(name, value === true ? '' : value);
    }
    node.append(...children.flat().filter((one) => one !== null && one !== undefined));
    return node;
  };
  // The letters of states in the data: class, mark, words.
  const STATES = {
    f: ['f', '!', 'failed'], u: ['u', '×', 'unreachable'], c: ['c', '~', data.check ? 'would change' : 'changed'],
    q: ['q', '?', 'not known'], o: ['o', '·', 'ok'], s: ['s', '-', 'skipped'],
  };
  const ORDER = Object.keys(STATES);
  const SHOWN_AT_ONCE = 300;
  const seconds = (ms) => ms < 1000 ? `${ms} ms` : ms < 60000 ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60000)} min ${Math.round(ms % 60000 / 1000)} s`;
  const many = (count, one, more) => `${count.toLocaleString('en')} ${count === 1 ? one : more}`;

  const tasks = [];
  data.plays.forEach((play, p) => play.tasks.forEach((task) => {
    task.play = p;
    task.at = tasks.length;
    tasks.push(task);
  }));
  // Ranges of host numbers, as the data has them.
  const members = (ranges) => {
    const out = [];
    for (let i = 0; i < ranges.length; i += 2) for (let n = ranges[i]; n <= ranges[i + 1]; n++) out.push(n);
    return out;
  };
  const entries = [];
  for (const task of tasks) {
    for (const group of task.groups) {
      entries.push({ task, group, hosts: members(group.on), at: entries.length });
    }
  }
  const counts = {};
  for (const entry of entries) counts[entry.group.s] = (counts[entry.group.s] || 0) + entry.hosts.length;
  const times = tasks.map((task) => {
    const all = [];
    for (let i = 0; i < task.t.length; i += 3) all.push({ host: task.t[i], from: task.t[i + 1], to: task.t[i + 1] + task.t[i + 2] });
    return all;
  });
  const end = Math.max(1, ...times.map((all) => all.reduce((most, one) => Math.max(most, one.to), 0)));
  const worst = (task) => ORDER.find((state) => task.cells.includes(state)) || 's';

  function summary() {
    document.title = `rplay: ${data.line}`;
    $('summary-h').textContent = data.line;
    const words = [data.check ? 'What would happen' : 'What happened', many(data.hosts.length, 'host', 'hosts'),
      many(tasks.length, 'task', 'tasks'), seconds(end), `exit code ${data.exit}`];
    if (data.created) words.splice(1, 0, new Date(data.created * 1000).toISOString().replace('T', ' ').slice(0, 16) + ' UTC');
    $('about').textContent = words.join(' · ');
    const verdict = data.exit ? ['f', 'failed'] : counts.c ? ['c', data.check ? 'changes pending' : 'changed']
      : counts.q ? ['q', 'not all known'] : ['o', 'nothing to do'];
    $('verdict').classList.add(verdict[0]);
    $('verdict').textContent = verdict[1];
    for (const state of ['c', 'q', 'f', 'u', 'o', 's']) {
      if (!counts[state] && (state === 'u' || state === 'q')) continue;
      $('cards').append(h('div', { class: `card stat ${counts[state] ? STATES[state][0] : ''}` },
        h('b', {}, (counts[state] || 0).toLocaleString('en')), h('span', {}, STATES[state][2])));
    }
    const share = ORDER.filter((state) => counts[state]);
    $('share').setAttribute('aria-label', share.map((state) => `${counts[state]} ${STATES[state][2]}`).join(', '));
    $('share').append(...share.map((state) => h('i', { class: STATES[state][0], style: `flex:${counts[state]}`, title: `${counts[state]} ${STATES[state][2]}` })));
    $('warnings').append(...data.warnings.map((text) => {
      const [first, ...rest] = text.trim().split('\n');
      if (!rest.length) return h('p', { class: 'card warn' }, first);
      return h('details', { class: 'card warn' }, h('summary', {}, first, h('span', {}, 'more')), h('pre', { tabindex: 0 }, rest.join('\n').trim()));
    }));
    $('foot').textContent = `rplay ${data.engine}. This page is complete: it loads nothing.`;
    if (data.left_out) $('foot').textContent += ` ${many(data.left_out, 'difference is', 'differences are')} left out, the largest ones; the report \`json\` has them.`;
  }

  const COLUMNS = [['ok', 'o'], ['changed', 'c'], ['unreachable', 'u'], ['failed', 'f'], ['skipped', 's'], ['rescued', 'o'], ['ignored', 's']];
  function hosts() {
    $('hosts-n').textContent = many(data.hosts.length, 'host', 'hosts');
    $('hosts').open = data.hosts.length <= 12;
    const table = $('hosts').querySelector('table');
    table.tHead.append(h('tr', {}, h('th', { scope: 'col' }, 'Host'), COLUMNS.map(([name]) => h('th', { scope: 'col' }, name))));
    data.hosts.forEach((name, at) => {
      const cell = (count, i) => h('td', { class: count ? `some ${COLUMNS[i][1]}` : 'none' }, String(count));
      table.tBodies[0].append(h('tr', { 'data-host': at }, h('th', { scope: 'row' }, name), data.recap[at].map(cell)));
    });
  }

  // Results: hosts that agree are one entry; an entry's body is made when it is opened.
  const on = new Set(ORDER.filter((state) => 'fucq'.includes(state)));
  if (![...on].some((state) => counts[state])) ORDER.forEach((state) => on.add(state));
  let limit = SHOWN_AT_ONCE;
  let query = [];
  const chips = {};

  function chip(state) {
    const press = () => {
      on.has(state) ? on.delete(state) : on.add(state);
      chips[state].setAttribute('aria-pressed', on.has(state));
      draw();
    };
    chips[state] = h('button', { class: `chip ${STATES[state][0]}`, 'aria-pressed': String(on.has(state)), onclick: press },
      h('i'), `${STATES[state][2]} ${counts[state].toLocaleString('en')}`);
    $('chips').append(chips[state]);
  }

  const title = (task) => task.role && !task.name.startsWith(task.role) ? `${task.role} : ${task.name}` : task.name;
  const onHosts = (entry) => entry.hosts.length === 1 ? data.hosts[entry.hosts[0]]
    : entry.hosts.length <= 3 ? entry.hosts.map((at) => data.hosts[at]).join(', ')
      : `${entry.hosts.length.toLocaleString('en')} hosts`;

  function text(entry) {
    if (!entry.text) {
      const { task, group } = entry;
      const words = [task.name, task.action, task.path, task.role || '', group.label || '', group.why || '', STATES[group.s][2],
        data.plays[task.play].name, group.unknown || '', ...entry.hosts.map((at) => data.hosts[at])];
      for (const id of group.d) {
        const diff = data.diffs[id];
        if (diff) words.push(diff.n.join(' '), ...diff.r.map((row) => row.slice(1).flat().join('')));
      }
      entry.text = words.join('\n').toLowerCase();
    }
    return entry.text;
  }

  function node(entry) {
    const { task, group } = entry;
    const [state, mark, word] = STATES[group.s];
    const name = h('span', { class: 'name' }, title(task), group.label ? ` (item=${group.label})` : '',
      h('small', { class: 'mono' }, task.action));
    const details = h('details', { class: `entry ${state}`, id: `r${entry.at}`, ontoggle: () => fill(details, entry) },
      h('summary', {}, h('span', { class: 'pill mark', title: word }, mark, h('span', { class: 'sr' }, ` ${word}`)), name,
        h('span', { class: 'on' }, onHosts(entry))));
    return details;
  }

  function fill(details, entry) {
    if (!details.open || details.querySelector('.body')) return;
    const { task, group } = entry;
    const facts = [STATES[group.s][2], task.path, task.handler ? 'handler' : null, group.to ? `delegated to ${group.to}` : null,
      task.notifies.length ? `notifies ${task.notifies.join(', ')}` : null];
    const body = h('div', { class: `body ${STATES[group.s][0]}` },
      h('p', { class: 'facts' }, facts.filter(Boolean).map((fact) => h('span', {}, fact))), entry.hosts.length > 3 ? names(entry) : null);
    if (group.unknown) body.append(h('p', { class: 'why' }, group.unknown));
    if (group.why) body.append(h('p', { class: 'why' }, group.why));
    for (const id of group.d) body.append(diff(data.diffs[id]));
    details.append(body);
  }

  function names(entry) {
    const box = h('p', { class: 'names' });
    const add = (list) => box.append(...list.map((at) => h('span', {}, data.hosts[at])));
    add(entry.hosts.slice(0, 12));
    if (entry.hosts.length > 12) {
      const more = h('button', { onclick: () => { more.remove(); add(entry.hosts.slice(12)); } }, `${entry.hosts.length - 12} more`);
      box.append(more);
    }
    return box;
  }

  // A side of a changed line: texts that are the same and texts that are not, in turn.
  const side = (parts) => typeof parts === 'string' ? [parts] : parts.map((part, i) => i % 2 ? h('mark', {}, part) : part);

  function diff(one) {
    if (!one) return h('p', { class: 'muted' }, 'The difference is left out, because the page would be too large. The report `json` has it.');
    const box = h('div', { class: 'diff' });
    const line = (kind, from, left, to, right) => {
      const cell = (state, number, content) => content === null ? [h('u', { class: 'n0' }), h('pre', { class: 'n' })]
        : [h('u', { class: state }, number || ''), h('pre', { class: state }, side(content))];
      box.append(h('div', { class: `row ${kind}` }, cell(left !== right ? 'd' : '', from, left), cell(left !== right ? 'a' : '', to, right)));
    };
    if (one.n[0] || one.n[1]) {
      box.append(h('div', { class: 'row names2' }, h('u'), h('pre', {}, one.n[0] || 'before'), h('u'), h('pre', {}, one.n[1] || 'after')));
    }
    for (const row of one.r) {
      if (row[0] === '=') line('same', row[1], row[3], row[2], row[3]);
      else if (row[0] === '~') line('both', row[1], row[3], row[2], row[4]);
      else if (row[0] === '-') line('old', row[1], row[2], 0, null);
      else if (row[0] === '+') line('new', 0, null, row[1], row[2]);
      else box.append(h('div', { class: 'gap' }, row[1]));
    }
    return box;
  }

  let shown = [];
  function draw() {
    const matches = (entry) => on.has(entry.group.s) && query.every((word) => text(entry).includes(word));
    shown = entries.filter(matches);
    const list = $('list');
    const opened = new Set([...list.querySelectorAll('details[open]')].map((one) => one.id));
    const out = [];
    let play = -1;
    for (const entry of shown.slice(0, limit)) {
      if (entry.task.play !== play) {
        play = entry.task.play;
        out.push(h('p', { class: 'play' }, `Play: ${data.plays[play].name}`));
      }
      const one = node(entry);
      if (opened.has(one.id) || (shown.length === 1 && query.length)) one.open = true;
      out.push(one);
    }
    if (shown.length > limit) {
      const left = shown.length - limit;
      out.push(h('button', { class: 'more', onclick: () => { limit += SHOWN_AT_ONCE; draw(); } }, `Show more: ${many(left, 'result', 'results')} left`));
    }
    if (!shown.length) out.push(h('p', { class: 'card nothing' }, entries.length ? 'Nothing matches.' : 'Nothing ran.'));
    list.replaceChildren(...out);
  }

  function show(entry) {
    if (!on.has(entry.group.s)) chips[entry.group.s].click();
    if (query.length) search('');
    const at = shown.indexOf(entry);
    if (at >= limit) {
      limit = at + SHOWN_AT_ONCE;
      draw();
    }
    const one = $(`r${entry.at}`);
    one.open = true;
    one.querySelector('summary').focus();
    one.scrollIntoView({ block: 'start' });
  }

  // The entry of a task, on a host where one is named: that of its state before others of its loop.
  const result = (task, host) => {
    const own = entries.filter((entry) => entry.task === task && (host === undefined || entry.hosts.includes(host)));
    const state = host === undefined ? worst(task) : task.cells[host];
    return own.find((entry) => entry.group.s === state) || own[0];
  };

  function search(value) {
    $('q').value = value;
    query = value.toLowerCase().split(/\s+/).filter(Boolean);
    limit = SHOWN_AT_ONCE;
    draw();
    const hit = (words) => query.every((word) => words.toLowerCase().includes(word));
    const found = data.hosts.map((name) => hit(name));
    const any = found.includes(true);
    for (const row of document.querySelectorAll('[data-host]')) row.hidden = any && !found[row.dataset.host];
    const lanes = tasks.map((task) => hit(`${title(task)} ${task.action} ${task.path}`));
    const anyLane = lanes.includes(true);
    for (const row of document.querySelectorAll('[data-lane]')) row.hidden = anyLane && !lanes[row.dataset.lane];
    $('found').hidden = !query.length;
    const hostWords = any ? `, ${many(found.filter(Boolean).length, 'host', 'hosts')}` : '';
    $('found').textContent = query.length ? `Found ${many(shown.length, 'result', 'results')}${hostWords}.` : '';
  }

  // The matrix: one cell for each host and task.
  let cell = null;
  function grid() {
    $('legend').append(...ORDER.filter((state) => counts[state]).map((state) => h('span', {}, h('i', { class: STATES[state][0] }), STATES[state][2])));
    const edge = (i) => i && tasks[i].play !== tasks[i - 1].play ? 'edge' : null;
    const head = h('tr', {}, h('th', { 'aria-label': 'Host' }), tasks.map((task, i) => h('th', { scope: 'col', class: edge(i), title: title(task) }, String(i + 1))));
    const body = h('tbody');
    data.hosts.forEach((name, at) => {
      const row = h('tr', { 'data-host': at }, h('th', { scope: 'row', title: name }, name));
      tasks.forEach((task, i) => {
        const state = STATES[task.cells[at]];
        const one = document.createElement('td');
        if (state) {
          one.className = state[0] + (edge(i) ? ' edge' : '');
          one.textContent = state[1];
        }
        row.append(one);
      });
      body.append(row);
    });
    const box = $('grid');
    box.append(h('table', {}, h('thead', {}, head), body));
    const place = (one) => [Number(one.parentNode.dataset.host), one.cellIndex - 1];
    const go = (one, scroll) => {
      if (cell) cell.classList.remove('at');
      cell = one;
      cell.classList.add('at');
      if (scroll) cell.scrollIntoView({ block: 'nearest', inline: 'nearest' });
      const [host, i] = place(cell);
      const state = STATES[tasks[i].cells[host]];
      const time = times[i].find((one) => one.host === host);
      $('cell').textContent = [data.hosts[host], `${i + 1}. ${title(tasks[i])}`, state ? state[2] : 'did not run', state && time ? seconds(time.to - time.from) : null]
        .filter(Boolean).join(' · ');
    };
    const open = () => {
      const [host, i] = place(cell);
      const entry = result(tasks[i], host);
      if (entry) show(entry);
    };
    const pick = (event) => event.target.closest('td');
    box.addEventListener('mouseover', (event) => pick(event) && go(pick(event), false));
    box.addEventListener('click', (event) => {
      if (!pick(event)) return;
      go(pick(event), false);
      open();
    });
    const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    box.addEventListener('keydown', (event) => {
      const first = body.querySelector('tr:not([hidden]) td');
      if (!first) return;
      if (event.key === 'Enter' && cell) return open();
      const move = MOVES[event.key];
      if (!move) return;
      event.preventDefault();
      if (!cell || cell.parentNode.hidden) return go(first, true);
      const rows = [...body.rows].filter((row) => !row.hidden);
      const row = rows[rows.indexOf(cell.parentNode) + move[0]];
      const next = row && row.cells[cell.cellIndex + move[1]];
      if (next && next.tagName === 'TD') go(next, true);
    });
    $('cell').textContent = 'Point at a cell, or use the arrow keys.';
  }

  // When each task ran: the pale end of a bar is where more than half of the hosts were done.
  function timeline() {
    const lane = $('lane');
    lane.append(h('option', { value: '' }, 'all'), ...data.hosts.map((name, at) => h('option', { value: at }, name)));
    lane.addEventListener('change', lanes);
    for (let i = 0; i <= 4; i++) $('axis').append(h('span', { style: `left:${i * 25}%` }, seconds(Math.round(end * i / 4))));
    lanes();
  }

  function lanes() {
    const chosen = $('lane').value;
    const rows = tasks.map((task, i) => {
      const all = chosen === '' ? times[i] : times[i].filter((one) => one.host === Number(chosen));
      const track = h('span', { class: 'track' });
      let state = worst(task);
      if (all.length) {
        if (chosen !== '') state = task.cells[Number(chosen)] in STATES ? task.cells[Number(chosen)] : 's';
        const from = Math.min(...all.map((one) => one.from));
        const ends = all.map((one) => one.to).sort((a, b) => a - b);
        const last = ends[ends.length - 1];
        const half = all.length > 1 ? ends[Math.floor((ends.length - 1) / 2)] : last;
        const bar = (a, b, name) => track.append(h('i', { class: name, style: `left:${a / end * 100}%;width:${(b - a) / end * 100}%` }));
        bar(from, half, '');
        if (last > half) bar(half, last, 'tail');
        const slowest = all.reduce((most, one) => one.to - one.from > most.to - most.from ? one : most);
        let words = seconds(last - from);
        if (all.length > 1) words += `, slowest ${data.hosts[slowest.host]} ${seconds(slowest.to - slowest.from)}`;
        const place = last / end < .6 ? `left:${last / end * 100}%` : `right:${100 - from / end * 100}%`;
        const fits = last / end < .6 || from / end > .4;
        if (fits) track.append(h('em', { style: place }, words));
        track.title = words;
      }
      return h('button', { class: `lane ${STATES[state][0]}`, 'data-lane': i, onclick: () => { const entry = result(task); if (entry) show(entry); } },
        h('span', { title: title(task) }, `${i + 1}. ${title(task)}`), track);
    });
    $('lanes').replaceChildren(...rows);
  }

  function keys() {
    const openAll = () => {
      const all = [...$('list').querySelectorAll('details')];
      const open = all.some((one) => !one.open);
      all.forEach((one) => { one.open = open; });
      $('open-all').textContent = open ? 'Close all' : 'Open all';
    };
    $('open-all').addEventListener('click', openAll);
    $('keys').addEventListener('click', () => $('help').showModal());
    $('q').addEventListener('input', () => search($('q').value));
    const step = (by) => {
      const all = [...$('list').querySelectorAll('summary')];
      const at = all.indexOf(document.activeElement);
      const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by];
      if (next) next.focus();
    };
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
      const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
      if (event.key === 'Escape' && event.target === $('q')) {
        search('');
        return $('q').blur();
      }
      if (typing) return;
      const work = {
        '/': () => $('q').focus(), j: () => step(1), k: () => step(-1), e: openAll, m: () => $('grid').focus(), '?': () => $('help').showModal(),
      }[event.key];
      if (!work) return;
      event.preventDefault();
      work();
    });
    $('graph').addEventListener('click', (event) => {
      const task = event.target.closest('[data-task]');
      const entry = task && result(tasks[Number(task.dataset.task)]);
      if (entry) show(entry);
    });
  }

  function here() {
    const links = [...document.querySelectorAll('nav a')];
    const watch = new IntersectionObserver((seen) => seen.forEach((one) => {
      if (!one.isIntersecting) return;
      links.forEach((link) => link.hash === `#${one.target.id}` ? link.setAttribute('aria-current', 'true') : link.removeAttribute('aria-current'));
    }), { rootMargin: '-30% 0px -60% 0px' });
    document.querySelectorAll('main > section').forEach((section) => watch.observe(section));
  }

  summary();
  hosts();
  ORDER.filter((state) => counts[state]).forEach(chip);
  draw();
  grid();
  timeline();
  keys();
  here();
  const linked = /^#r(\d+)$/.exec(location.hash);
  if (linked && entries[linked[1]]) show(entries[linked[1]]);
})();
