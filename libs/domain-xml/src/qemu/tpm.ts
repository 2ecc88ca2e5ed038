/** TPMs: the host's own, or one emulated by a program that the caller has started. */
import type { Tpm } from '../elements/memory-device';
import { isArmVirt } from '../passes/machine';
import { aliasOf, type Guest } from './context';
import { addressProps } from './device-address';
import { props, words, type Props } from './props';
import type { CommandWords } from './words';

const defaultDevice = '/dev/tpm0';

export function addTpms(out: CommandWords, guest: Guest): void {
  for (const tpm of guest.domain.devices.tpms) {
    const { backend } = tpm;
    const id = `tpm-${aliasOf(tpm)}`;
    if (backend.type === 'passthrough') out.add('-tpmdev', passthroughWords(out, guest, tpm, id));
    else {
      out.add('-chardev', words('socket', { id: 'chrtpm', path: tpmSocket(guest, tpm) }));
      out.add('-tpmdev', words('emulator', { id, chardev: 'chrtpm' }));
    }
    out.device(tpmProps(guest, tpm));
  }
}

function tpmSocket({ context }: Guest, tpm: Tpm): string {
  if (tpm.backend.type === 'external') return tpm.backend.source?.path ?? '';
  return context.helperSockets?.[aliasOf(tpm)] ?? `${context.runDir}/swtpm/${context.shortName}-swtpm.sock`;
}

function passthroughWords(out: CommandWords, { context }: Guest, tpm: Tpm, id: string): string {
  const alias = aliasOf(tpm);
  const path = tpm.backend.device?.path ?? defaultDevice;
  if (!context.passFiles) return words('passthrough', { id, path });
  return words('passthrough', {
    id,
    path: out.fdSet({ kind: 'tpm', alias, what: 'device', path }, `${alias}-tpm`),
    'cancel-path': out.fdSet({ kind: 'tpm', alias, what: 'cancel', path }, `${alias}-cancel`),
  });
}

export function tpmProps(guest: Guest, tpm: Tpm): Props {
  const model = tpm.model ?? 'tpm-tis';
  // Boards without an ISA bus have the chip as a device of the board.
  const driver = model === 'tpm-tis' && isArmVirt(guest.domain) ? 'tpm-tis-device' : model;
  return props({ driver, tpmdev: `tpm-${aliasOf(tpm)}`, id: aliasOf(tpm) }, addressProps(guest, tpm));
}
