/** What the guest boots with: flash images or a BIOS file, a kernel, ACPI tables, and in which order it looks for a system. */
import { VirtError } from '@virtbus/shared';
import type { Domain } from '../elements/domain';
import { emptySource, type Image } from './block-chain';
import { layersOf } from './block-layers';
import { chainSteps } from './blockdev';
import type { Guest } from './context';
import { addBlockSteps } from './disk';
import { escapeWord, words } from './props';
import type { CommandWords } from './words';

/** Flash 0 holds the firmware's code. */
function codeImage({ os }: Domain): Image | undefined {
  const { loader } = os;
  if (loader?.type !== 'pflash' || loader.path === undefined) return undefined;
  return {
    name: 'libvirt-pflash0',
    type: 'file',
    source: { ...emptySource(), file: loader.path },
    format: loader.format ?? 'raw',
    readOnly: loader.readonly === true,
    below: 'end',
    alwaysFormat: true,
  };
}

/** Flash 1 holds its variables. */
function variablesImage({ os }: Domain): Image | undefined {
  const { nvram } = os;
  if (nvram === undefined || (nvram.path === undefined && nvram.source === undefined)) return undefined;
  return {
    name: 'libvirt-pflash1',
    type: nvram.type ?? 'file',
    source: nvram.source ?? { ...emptySource(), file: nvram.path },
    format: nvram.format ?? 'raw',
    readOnly: false,
    auth: nvram.source?.auth,
    encryption: nvram.source?.encryption,
    below: 'end',
  };
}

export function addFlash(out: CommandWords, guest: Guest): void {
  const { firmware, loader } = guest.domain.os;
  if (firmware !== undefined && loader?.path === undefined)
    throw new VirtError('OPERATION_FAILED', {
      detail: `Unable to find '${firmware}' firmware that is compatible with the current configuration`,
    });
  for (const image of [codeImage(guest.domain), variablesImage(guest.domain)])
    if (image) addBlockSteps(out, chainSteps(guest, image, out));
}

export function firmwareMachineOptions(guest: Guest): { pflash0?: string; pflash1?: string } {
  const code = codeImage(guest.domain);
  const variables = code && variablesImage(guest.domain);
  return {
    ...(code && { pflash0: layersOf(guest, code).top }),
    ...(variables && { pflash1: layersOf(guest, variables).top }),
  };
}

export function addLoader(out: CommandWords, { domain }: Guest): void {
  const { loader } = domain.os;
  if (loader === undefined) return;
  if (loader.type === 'pflash') {
    if (loader.secure) out.add('-global', 'driver=cfi.pflash01,property=secure,value=on');
  } else if (loader.path !== undefined) out.add('-bios', loader.path);
}

export function addBoot(out: CommandWords, { domain }: Guest): void {
  const { bootmenu, bios } = domain.os;
  out.add(
    '-boot',
    words('', {
      menu: bootmenu?.enable,
      'splash-time': bootmenu?.enable ? bootmenu.timeout : undefined,
      'reboot-timeout': bios?.rebootTimeout,
      strict: 'on',
    }),
  );
}

export function addKernel(out: CommandWords, { domain }: Guest): void {
  const { kernel, initrd, cmdline, dtb, shim, acpi } = domain.os;
  if (kernel !== undefined) out.add('-kernel', kernel);
  if (initrd !== undefined) out.add('-initrd', initrd);
  if (cmdline !== undefined) out.add('-append', cmdline);
  if (shim !== undefined) out.add('-shim', shim);
  if (dtb !== undefined) out.add('-dtb', dtb);
  for (const { type, path } of acpi?.tables ?? []) {
    const table = escapeWord(path ?? '');
    if (type === 'raw') out.add('-acpitable', `file=${table}`);
    else if (type === 'rawset') out.add('-acpitable', `data=${table}`);
    else out.add('-acpitable', `sig=${type.toUpperCase()},file=${table}`);
  }
}

/** `-global` options for sleep states that the guest is to see or not. */
export function addPowerManagement(out: CommandWords, { domain }: Guest, device: string | undefined): void {
  if (device === undefined) return;
  const { suspendToMem, suspendToDisk } = domain.pm ?? {};
  const state = (name: string, enabled: boolean | undefined): void => {
    if (enabled !== undefined) out.add('-global', `${device}.disable_${name}=${enabled ? 0 : 1}`);
  };
  state('s3', suspendToMem?.enabled);
  state('s4', suspendToDisk?.enabled);
}
