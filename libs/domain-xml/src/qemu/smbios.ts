/** What the guest reads about its "hardware": SMBIOS tables and firmware configuration blobs. */
import type { Domain } from '../elements/domain';
import { unsupported, type Guest } from './context';
import { escapeWord } from './props';
import type { CommandWords } from './words';

type Sysinfo = Domain['sysinfos'][number];
type Entries = NonNullable<Sysinfo['bios']>;

export function addSmbios(out: CommandWords, { domain }: Guest): void {
  const mode = domain.os.smbios?.mode;
  if (mode === undefined || mode === 'none' || mode === 'emulate') return;
  if (mode === 'host') unsupported("SMBIOS mode 'host' needs the host's tables, which are not read here");
  const sysinfo = domain.sysinfos.find(({ type }) => type === 'smbios');
  if (sysinfo === undefined) return unsupported("domain has no SMBIOS sysinfo although its mode is 'sysinfo'");
  const table = (type: number, entries: Entries | undefined): void => {
    if (entries) out.add('-smbios', [`type=${type}`, ...keyed(entries)].join(','));
  };
  table(0, sysinfo.bios);
  table(1, sysinfo.system);
  for (const board of sysinfo.baseBoards) table(2, board);
  table(3, sysinfo.chassis);
  const strings = sysinfo.oemStrings?.entries ?? [];
  if (strings.length > 0)
    out.add('-smbios', ['type=11', ...strings.map(({ value }) => `value=${escapeWord(value ?? '')}`)].join(','));
}

const keyed = ({ entries }: Entries): string[] =>
  entries.map(({ name, value }) => `${name ?? ''}=${escapeWord(value ?? '')}`);

export function addFirmwareConfiguration(out: CommandWords, { domain }: Guest): void {
  for (const { type, entries } of domain.sysinfos) {
    if (type !== 'fwcfg') continue;
    for (const { name, file, value } of entries)
      out.add(
        '-fw_cfg',
        `name=${escapeWord(name ?? '')},${file === undefined ? `string=${escapeWord(value ?? '')}` : `file=${escapeWord(file)}`}`,
      );
  }
}
