/**
 * Chooses the firmware of a guest among what is installed, told by QEMU's firmware descriptors (docs/interop/firmware.json of QEMU).
 *
 * A document may leave the choice open (`<os firmware='efi'>`) or name the loader; a known loader then gets its variable store's
 * template. The first descriptor that fits everything the document says wins; files of the same name hide one another.
 */
import type { QemuCapabilities } from '../capabilities';
import type { Domain } from '../elements/domain';
import type { Os } from '../elements/os';
import { fail, lineOf } from '../schema';
import { archOf, machineOf } from './machine';
import type { PrepareOptions } from './options';

/** The part of a descriptor that decides. */
export interface FirmwareDescriptor {
  readonly interfaces: readonly string[];
  readonly targets: readonly { readonly architecture: string; readonly machines: readonly string[] }[];
  readonly features: readonly string[];
  readonly image:
    | {
        readonly device: 'flash';
        readonly mode: 'split' | 'combined' | 'stateless';
        readonly code: Image;
        readonly variables?: Image;
      }
    | { readonly device: 'memory'; readonly file: string };
}

interface Image {
  readonly file: string;
  readonly format: 'raw' | 'qcow2';
}

/** Where a manager keeps the variables of its guests' firmware; the file is named after the guest. */
const nvramFile = (directory: string, name: string, format: string): string =>
  `${directory}/${name}_VARS.${format === 'qcow2' ? 'qcow2' : 'fd'}`;

/**
 * The descriptors that count, in the order in which they are tried.
 * @param files name and content of each descriptor file; of equal names the first one counts, and an empty file hides the others
 */
export function readFirmwareDescriptors(files: readonly { name: string; content: string }[]): FirmwareDescriptor[] {
  const first = new Map<string, string>();
  for (const { name, content } of files) if (!first.has(name)) first.set(name, content);
  return [...first].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, content]) => parseDescriptor(content) ?? []);
}

interface DescriptorFile {
  'interface-types'?: string[];
  mapping?: {
    device?: string;
    mode?: 'split' | 'combined' | 'stateless';
    filename?: string;
    executable?: { filename?: string; format?: string };
    'nvram-template'?: { filename?: string; format?: string };
  };
  targets?: { architecture: string; machines: string[] }[];
  features?: string[];
}

/** Undefined for what is no descriptor, or one of a kind that we do not know. */
function parseDescriptor(content: string): FirmwareDescriptor | undefined {
  let file: DescriptorFile;
  try {
    file = JSON.parse(content) as DescriptorFile;
  } catch {
    return undefined;
  }
  const { mapping, targets = [], features = [] } = file;
  const common = { interfaces: file['interface-types'] ?? [], targets, features };
  const image = (one?: { filename?: string; format?: string }): Image | undefined =>
    one?.filename !== undefined && (one.format === 'raw' || one.format === 'qcow2')
      ? { file: one.filename, format: one.format }
      : undefined;
  if (mapping?.device === 'memory' && mapping.filename !== undefined)
    return { ...common, image: { device: 'memory', file: mapping.filename } };
  const code = image(mapping?.executable);
  if (mapping?.device !== 'flash' || !code) return undefined;
  const variables = image(mapping['nvram-template']);
  return {
    ...common,
    image: { device: 'flash', mode: mapping.mode ?? 'split', code, ...(variables && { variables }) },
  };
}

/** In place. When nothing fits the document stays as it is: it can be kept, but the guest can not be started. */
export function chooseFirmware(domain: Domain, _caps: QemuCapabilities, options: PrepareOptions): void {
  const { os } = domain;
  const { loader } = os;
  const automatic = os.firmware;
  if (automatic === undefined && loader === undefined) return;
  if (loader && automatic === undefined && loader.type === undefined && loader.path !== undefined) loader.type = 'rom';
  const known = automatic !== undefined || loader?.type === 'pflash' ? (options.firmware ?? []) : [];
  const found = known.find((one) => fits(domain, one, options));
  if (found) apply(domain, found);
  if (os.loader) os.loader.format ??= 'raw';
  if (!found && automatic !== undefined) return;
  if (!found) fillWellKnownTemplate(os);
  fillVariables(domain, options);
}

/** Throws OPERATION_FAILED when the document asks for firmware that is not installed: such a guest can not be started. */
export function requireFirmware(domain: Domain, firmware: readonly FirmwareDescriptor[]): void {
  const { os } = domain;
  if (os.firmware === undefined || firmware.some((one) => fits(domain, one, {}))) return;
  fail(
    'OPERATION_FAILED',
    `Unable to find '${os.firmware}' firmware that is compatible with the current configuration`,
    {
      element: 'os',
      line: lineOf(os),
    },
  );
}

/** Where distributions put variable templates before descriptors told. */
const wellKnownTemplates: Readonly<Record<string, string>> = {
  '/usr/share/OVMF/OVMF_CODE.fd': '/usr/share/OVMF/OVMF_VARS.fd',
  '/usr/share/OVMF/OVMF_CODE.secboot.fd': '/usr/share/OVMF/OVMF_VARS.secboot.fd',
  '/usr/share/OVMF/OVMF_CODE_4M.fd': '/usr/share/OVMF/OVMF_VARS_4M.fd',
  '/usr/share/AAVMF/AAVMF_CODE.fd': '/usr/share/AAVMF/AAVMF_VARS.fd',
  '/usr/share/AAVMF/AAVMF32_CODE.fd': '/usr/share/AAVMF/AAVMF32_VARS.fd',
};

function fillWellKnownTemplate(os: Os): void {
  const { loader, nvram } = os;
  const template = wellKnownTemplates[loader?.path ?? ''];
  const readOnlyFlash =
    loader?.type === 'pflash' && loader.readonly === true && loader.stateless !== true && loader.format === 'raw';
  if (!readOnlyFlash || template === undefined || nvram?.type === 'network') return;
  if (nvram?.template !== undefined && nvram.template !== template) return;
  os.nvram = { ...nvram, template, templateFormat: 'raw' };
}

/** Writable flash that is not part of the loader needs a file of its own. */
function fillVariables({ os, name }: Domain, { nvramDirectory }: PrepareOptions): void {
  const { loader } = os;
  const keepsVariables = loader?.type === 'pflash' && loader.readonly === true && loader.stateless !== true;
  if (!keepsVariables) {
    if (os.nvram) os.nvram.format ??= 'raw';
    return;
  }
  const nvram = (os.nvram ??= {});
  nvram.format ??= nvram.templateFormat ?? loader.format ?? 'raw';
  if (nvram.path === undefined && nvram.source === undefined && nvramDirectory !== undefined)
    nvram.path = nvramFile(nvramDirectory, name, nvram.format);
}

/** A machine pattern: `*` stands for anything. */
const matches = (patterns: readonly string[], machine: string): boolean =>
  patterns.some((pattern) =>
    new RegExp(
      `^${pattern
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replace(/\*/g, '.*')
        .replace(/\?/g, '.')}$`,
    ).test(machine),
  );

function fits(domain: Domain, one: FirmwareDescriptor, options: PrepareOptions): boolean {
  const { os, pm, features, launchSecurity } = domain;
  const wanted = os.firmware ?? (os.loader?.type === 'rom' ? 'bios' : 'efi');
  if (!one.interfaces.includes(wanted === 'efi' ? 'uefi' : 'bios')) return false;
  const arch = archOf(domain) === 'i686' ? 'i386' : archOf(domain);
  if (!one.targets.some(({ architecture, machines }) => architecture === arch && matches(machines, machineOf(domain))))
    return false;
  const has = (feature: string): boolean => one.features.includes(feature);
  if (pm?.suspendToMem?.enabled && !has('acpi-s3')) return false;
  if (pm?.suspendToDisk?.enabled && !has('acpi-s4')) return false;
  for (const { name, enabled } of os.firmwareFeatures?.features ?? []) if (has(name) !== enabled) return false;
  if (os.loader?.secure !== undefined && os.loader.secure !== has('requires-smm')) return false;
  if (has('requires-smm') && features.smm?.state === false) return false;
  if (launchSecurity?.type === 'sev' && !has('amd-sev')) return false;
  if (launchSecurity?.type === 'sev-snp' && !has('amd-sev-snp')) return false;
  return fitsImage(os, one.image, options);
}

function fitsImage(
  { loader, nvram, firmware }: Os,
  image: FirmwareDescriptor['image'],
  options: PrepareOptions,
): boolean {
  if (image.device === 'memory') {
    if (loader?.type === 'pflash' || loader?.stateless === false || nvram !== undefined) return false;
    if (loader?.format !== undefined && loader.format !== 'raw') return false;
    return (loader?.path === undefined || loader.path === image.file) && (firmware !== 'efi' || loader?.type === 'rom');
  }
  if (loader?.type === 'rom') return false;
  if (loader?.path !== undefined && loader.path !== image.code.file) return false;
  if (image.mode === 'stateless' ? loader?.stateless !== true : loader?.stateless === true) return false;
  // Code and variables in one file: only where the document names that file.
  if (image.mode === 'combined' ? loader?.readonly !== false || loader.path === undefined : loader?.readonly === false)
    return false;
  if (nvram?.template !== undefined && nvram.template !== image.variables?.file) return false;
  if (nvram?.templateFormat !== undefined && nvram.templateFormat !== image.variables?.format) return false;
  // Without a word about formats, guests that were defined long ago get what they have always had.
  const format =
    loader?.format ??
    (loader?.path === undefined && nvram?.format === undefined && !options.newDefinition ? 'raw' : undefined);
  if (format !== undefined && format !== image.code.format) return false;
  // Variables follow the loader where it says what it is.
  const variables = loader?.format === undefined ? nvram?.format : undefined;
  return variables === undefined || image.variables === undefined || variables === image.variables.format;
}

/** Writes into the document what was chosen, so that the choice stays. */
function apply({ os, features }: Domain, { image, features: known, interfaces }: FirmwareDescriptor): void {
  os.firmware = interfaces.includes('uefi') ? 'efi' : 'bios';
  const loader = (os.loader ??= {});
  let keepsKeys = true;
  if (image.device === 'memory') {
    loader.type = 'rom';
    loader.format = 'raw';
    loader.path = image.file;
  } else {
    loader.type = 'pflash';
    loader.format = image.code.format;
    loader.path = image.code.file;
    if (image.mode !== 'combined') loader.readonly = true;
    // A store on the network is there already and is not made from a template.
    keepsKeys = os.nvram?.type !== 'network';
    if (image.mode === 'split' && image.variables && keepsKeys) {
      const nvram = (os.nvram ??= {});
      nvram.template = image.variables.file;
      nvram.templateFormat = image.variables.format;
      const isNew = nvram.path === undefined && nvram.source === undefined;
      if (isNew || nvram.format === undefined) nvram.format = image.variables.format;
    }
  }
  if (known.includes('requires-smm')) {
    loader.secure = true;
    features.smm ??= { state: true };
  }
  os.firmwareFeatures = {
    features: (keepsKeys ? (['enrolled-keys', 'secure-boot'] as const) : (['secure-boot'] as const)).map((name) => ({
      name,
      enabled: known.includes(name),
    })),
  };
}
