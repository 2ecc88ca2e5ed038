/**
 * Domain documents, from the text to the command line: parse → defaults → check → addresses → aliases → format → arguments.
 *
 * Seeds are the documents of `docs/examples` and, where the conformance kits lie, libvirt's own; with them their capabilities.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  assignAliases,
  buildCommandLine,
  capabilitiesFromXml,
  domainFromJson,
  domainToJson,
  formatDomain,
  parseDomain,
  prepareDomain,
  prepareForStart,
  type Domain,
  type QemuCapabilities,
} from '@virtbus/domain-xml';
import { isVirtError } from '@virtbus/shared';
import { checkout, ordinaryCapabilities } from '@virtbus/testkit';
import { hostContext } from '../conformance/kit-host';
import { mutateBytes } from './bytes';
import { domainXmlFindings } from './domain-xml-findings';
import type { Random } from './random';
import type { FuzzTarget } from './target';
import { damageXml } from './xml-damage';

const kits = resolve(checkout, '../shared/conformance');
const folders = [
  join(checkout, 'docs/examples'),
  join(kits, 'domain-xml-qemu/in'),
  join(kits, 'generic-domain-xml/in'),
];
const capabilityFolder = join(kits, 'domain-xml-qemu/support/capabilities');

const filesIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.xml'))
        .sort()
        .map((name) => join(folder, name))
    : [];

const encoded = (text: string): Uint8Array => new TextEncoder().encode(text);
const decoded = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

let known: readonly QemuCapabilities[] | undefined;

/** A QEMU for the architecture that the document speaks of; which one of several follows from the document. */
function capabilitiesFor(xml: string): QemuCapabilities {
  known ??= [
    ordinaryCapabilities,
    ...filesIn(capabilityFolder).map((file) => capabilitiesFromXml(readFileSync(file, 'utf8'))),
  ];
  const fitting = known.filter(({ arch }) => xml.includes(`arch='${arch}'`));
  const some = fitting.length > 0 ? fitting : known;
  return some[xml.length % some.length] as QemuCapabilities;
}

/** All that happens to a document from its definition to its start. */
function live(xml: string): void {
  const mode = xml.length % 3 === 0 ? 'live' : 'inactive';
  const { domain } = parseDomain(xml, { mode, unknown: xml.length % 2 === 0 ? 'warn' : 'refuse' });
  const capabilities = capabilitiesFor(xml);
  const prepared = prepareDomain(domain, capabilities, { newDefinition: true, nvramDirectory: '/nvram' });
  writeAll(assignAliases(prepared));
  const ready = prepareForStart(prepared, { channelDir: '/channels' });
  buildCommandLine(ready, hostContext({}, capabilities, ready));
}

function writeAll(domain: Domain): void {
  for (const view of ['live', 'inactive'] as const) formatDomain(domain, { view, secrets: view === 'live' });
  domainFromJson(domainToJson(domain, { view: 'inactive', secrets: true }));
}

export const domainXml: FuzzTarget = {
  name: 'domain-xml',
  seeds: () => folders.flatMap(filesIn).map((file) => readFileSync(file)),
  findings: () => domainXmlFindings.map(encoded),
  mutate: (document: Uint8Array, other: Uint8Array, random: Random) =>
    random.chance(0.1)
      ? mutateBytes(document, other, random)
      : encoded(damageXml(decoded(document), decoded(other), random)),
  run: (document) => {
    try {
      live(decoded(document));
      return 'accepted';
    } catch (error) {
      if (isVirtError(error)) return error.code;
      throw error;
    }
  },
};
