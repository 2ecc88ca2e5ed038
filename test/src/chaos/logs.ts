/** What the services and guests of a stack have said, kept for whoever looks into a failure. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { checkout, type Stack } from '@virtbus/testkit';

/** In `.cache/chaos/NAME`; says where that is. */
export function keepLogs(stack: Stack, name: string): string {
  const folder = join(checkout, '.cache', 'chaos', name);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of logsOf(stack)) writeFileSync(join(folder, file), text);
  return relative(process.cwd(), folder);
}

function logsOf(stack: Stack): [name: string, text: string][] {
  const copies = [
    ...stack.domainServices.map((service, n) => [`domain-${n}`, service.log.text] as const),
    ...stack.migrationServices.map((service, n) => [`migration-${n}`, service.log.text] as const),
  ];
  const state = stack.folder.file('state');
  const guests = readdirSync(state, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.log'));
  return [
    ...[...stack.drivers].map(([host, { log }]): [string, string] => [`driver-${host}`, log.text]),
    ...[...stack.storages].map(([host, { log }]): [string, string] => [`storage-${host}`, log.text]),
    ...copies.map(([name, text]): [string, string] => [name, text]),
    ...guests.map((path): [string, string] => [path.replaceAll('/', '-'), readFileSync(join(state, path), 'utf8')]),
  ];
}
