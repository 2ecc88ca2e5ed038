/** What a guest reads about its "hardware": `-smbios` tables and `-fw_cfg` blobs. */
import type { Draft, Sketch } from './draft';
import type { Domain } from '../elements/domain';
import { NotUnderstood } from './not-understood';
import type { Values } from './values';

type Sysinfo = NonNullable<Sketch<Domain>['sysinfos']>[number];
type Entries = NonNullable<Sysinfo['entries']>;

const tables: Readonly<Record<string, 'bios' | 'system' | 'baseBoards' | 'chassis'>> = {
  '0': 'bios',
  '1': 'system',
  '2': 'baseBoards',
  '3': 'chassis',
};

export function readSysinfo(draft: Draft): void {
  for (const option of draft.open('-smbios')) draft.understand(option, (_, values) => table(draft, values));
  for (const option of draft.open('-fw_cfg')) draft.understand(option, (_, values) => blob(draft, values));
}

function table(draft: Draft, values: Values): () => void {
  const type = values.take('type') ?? '';
  const name = tables[type];
  if (!name && type !== '11') throw new NotUnderstood(`a table of type ${type} has no place in a document`);
  if (type === '11') {
    const strings = values.takeAll('value').map((value) => ({ value }));
    return () => void (smbios(draft).oemStrings = { entries: strings });
  }
  const entries: Entries = values.takeRest().map(([key, value]) => ({ name: key, value }));
  return () => {
    const info = smbios(draft);
    if (name === 'baseBoards') info.baseBoards = [...(info.baseBoards ?? []), { entries }];
    else info[name as 'bios'] = { entries: [...(info[name as 'bios']?.entries ?? []), ...entries] };
  };
}

/** The element that holds all tables; it counts once the firmware is told to show it. */
function smbios({ domain }: Draft): Sysinfo {
  domain.os!.smbios = { mode: 'sysinfo' };
  return ofType(domain, 'smbios');
}

function ofType(domain: Draft['domain'], type: 'smbios' | 'fwcfg'): Sysinfo {
  const all = (domain.sysinfos ??= []);
  const known = all.find((one) => one.type === type);
  if (known) return known;
  const made: Sysinfo = { type };
  all.push(made);
  return made;
}

function blob(draft: Draft, values: Values): () => void {
  const name = values.take('name');
  const [value, file] = [values.take('string'), values.take('file')];
  if (!name?.startsWith('opt/')) throw new NotUnderstood('only names that begin with opt/ have a place in a document');
  if ((value === undefined) === (file === undefined)) throw new NotUnderstood('it is neither a string nor a file');
  return () => {
    const info = ofType(draft.domain, 'fwcfg');
    info.entries = [...(info.entries ?? []), { name, ...(file === undefined ? { value } : { file }) }];
  };
}
