// What JSROOT finds in ROOT files, as JSON: node read_root.mjs FILE...
// NaN, infinities and integers beyond 2^53 are strings, which JSON can hold.

import { openFile } from 'jsroot/io';
import { TSelector, treeProcess } from 'jsroot/tree';

const AXES = ['fXaxis', 'fYaxis', 'fZaxis'];

function edges(axis) {
  if (axis.fXbins.length) return Array.from(axis.fXbins);
  const width = (axis.fXmax - axis.fXmin) / axis.fNbins;
  return Array.from({ length: axis.fNbins + 1 }, (_, i) => axis.fXmin + i * width);
}

function histogram(h) {
  const dimensions = Number(h._typename[2]);
  return {
    class: h._typename,
    name: h.fName,
    title: h.fTitle,
    entries: h.fEntries,
    statistics: { fTsumw: h.fTsumw, fTsumw2: h.fTsumw2 },
    axes: AXES.slice(0, dimensions).map((name) => ({
      title: h[name].fTitle,
      edges: edges(h[name]),
    })),
    values: Array.from(h.fArray),
    sumw2: Array.from(h.fSumw2),
  };
}

async function tree(t) {
  const names = t.fBranches.arr.map((branch) => branch.fName);
  const columns = Object.fromEntries(names.map((name) => [name, []]));
  const selector = new TSelector();
  for (const name of names) selector.addBranch(name, name);
  selector.Process = function () {
    for (const name of names) {
      const value = this.tgtobj[name];
      const list = typeof value === 'object' && value !== null;
      columns[name].push(list ? Array.from(value) : value);
    }
  };
  await treeProcess(t, selector);
  return {
    class: t._typename,
    entries: t.fEntries,
    types: Object.fromEntries(t.fBranches.arr.map((b) => [b.fName, b.fLeaves.arr[0]._typename])),
    columns,
  };
}

async function content(file, keys, folder = '') {
  const found = {};
  for (const key of keys) {
    const path = folder + key.fName;
    if (key.fClassName === 'TDirectory') {
      const inside = await file.readDirectory(path);
      Object.assign(found, await content(file, inside.fKeys, path + '/'));
    } else if (key.fClassName.startsWith('TH')) {
      found[path] = histogram(await file.readObject(path));
    } else if (key.fClassName === 'TTree') {
      found[path] = await tree(await file.readObject(path));
    } else if (key.fClassName === 'TObjString') {
      found[path] = { class: 'TObjString', text: (await file.readObject(path)).fString };
    }
  }
  return found;
}

function plain(_, value) {
  if (typeof value === 'bigint') return value.toString();
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

const results = {};
for (const path of process.argv.slice(2)) {
  const file = await openFile(path);
  results[path] = await content(file, file.fKeys);
}
process.stdout.write(JSON.stringify(results, plain));
