/**
 * A domain document of 6 KiB from its text to its definition, beside libvirtd's define, the bare XML parser, and memory.
 *
 * Ours is measured in this process, once warm; libvirtd's calls in its client, which puts its socket and its file between.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatDomain, parseDomain, prepareDomain, type Domain } from '@virtbus/domain-xml';
import { checkout, ordinaryCapabilities } from '@virtbus/testkit';
import { SaxesParser } from 'saxes';
import { type Bench, type Benchmark } from '../bench';
import { figure, type Figure } from '../measure/figure';
import { atMost, atMostTimes, type Row } from '../measure/row';

const name = 'domain-xml';
/** Runs before the first that counts. */
const warmUp = 300;
const documents = 10_000;

export const domainXml: Benchmark = {
  name,
  doc: 'define a document of 6 KiB, beside libvirtd and the bare XML parser; memory of many',
  run: async (bench) => {
    const xml = readFileSync(join(checkout, 'docs/examples/server.xml'), 'utf8');
    const model = parseDomain(xml, { mode: 'inactive' }).domain;
    const prepared = prepare(model);
    const runs = bench.runs(1000);
    const define = (): string => format(prepare(parseDomain(xml, { mode: 'inactive' }).domain));
    const bare = (): unknown => plainTree(xml);
    const [defined, written, parsed] = inTurns(runs, [define, () => format(prepared), bare]);
    const theirs = await libvirts(bench, xml);
    const row = (metric: string, unit: string, ours: Figure, peerName: string): Row => ({
      name,
      metric,
      unit,
      ours,
      peerName,
    });
    const libvirtd = 'libvirtd, defineXML';
    return [
      { ...row('parse … format', 'ms', defined, libvirtd), peer: theirs?.define, goal: atMostTimes(0.5) },
      { ...row('parse … format', 'ms', defined, 'saxes, a plain tree'), peer: parsed, goal: atMostTimes(10) },
      { ...row('format', 'ms', written, 'libvirtd, XMLDesc'), peer: theirs?.dump },
      { ...row(`${documents} parsed`, 'MiB', memory(), 'their texts'), peer: texts(xml), goal: atMost(200, 'MiB') },
    ];
  },
};

const prepare = (domain: Domain): Domain => prepareDomain(domain, ordinaryCapabilities, { newDefinition: true });
const format = (domain: Domain): string => formatDomain(domain, { view: 'inactive' });

interface Node {
  readonly name: string;
  readonly attributes: object;
  readonly children: Node[];
  text: string;
}

/** What a parser is asked for at the least: elements with names, attributes and text. */
function plainTree(xml: string): Node | undefined {
  const parser = new SaxesParser();
  const open: Node[] = [];
  let root: Node | undefined;
  parser.on('opentag', ({ name: tag, attributes }) => {
    const node: Node = { name: tag, attributes, children: [], text: '' };
    root ??= node;
    open.at(-1)?.children.push(node);
    open.push(node);
  });
  parser.on('text', (text) => {
    const node = open.at(-1);
    if (node) node.text += text;
  });
  parser.on('closetag', () => open.pop());
  parser.write(xml).close();
  return root;
}

/** Milliseconds of each piece of work; all take turns, so that whatever else the machine does meets all. */
function inTurns<W extends readonly (() => unknown)[]>(runs: number, all: readonly [...W]): { [K in keyof W]: Figure } {
  const times = all.map((): number[] => []);
  for (let run = -warmUp; run < runs; run++) {
    for (const [index, work] of all.entries()) {
      const began = performance.now();
      work();
      if (run >= 0) times[index]?.push(performance.now() - began);
    }
  }
  return times.map((each) => figure(each)) as { [K in keyof W]: Figure };
}

async function libvirts(bench: Bench, xml: string): Promise<{ define: Figure; dump: Figure } | undefined> {
  const libvirt = await bench.libvirt();
  if (!libvirt) return undefined;
  const define: number[] = [];
  const dump: number[] = [];
  for (let run = 0; run < bench.runs(200); run++) {
    const { name: defined, reply } = await libvirt.timeDefine(xml);
    define.push(reply);
    dump.push((await libvirt.dump(defined)).reply);
    await libvirt.undefine(defined);
  }
  return { define: figure(define), dump: figure(dump) };
}

/** What a process grows by that reads and keeps so many documents. */
function memory(): Figure {
  const script = join(__dirname, '../measure/kept-documents.js');
  const grown = Array.from({ length: 3 }, () =>
    Number(execFileSync(process.execPath, ['--expose-gc', script, String(documents)], { encoding: 'utf8' })),
  );
  return figure(grown);
}

const texts = (xml: string): Figure => figure([(documents * xml.length) / 2 ** 20]);
