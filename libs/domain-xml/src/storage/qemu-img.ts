/**
 * The qemu-img command lines that make a volume, empty or as a copy of another one.
 *
 * Formats are always said, so qemu-img never guesses one. Where encryption and a copy come together two commands are
 * needed: `create` makes the target, `convert` fills it through both secrets. A copy stands on nothing: it takes what
 * its source shows, layers and all.
 */
import { VirtError } from '@virtbus/shared';
import type { Volume, VolumeEncryption } from './volume';

export interface ImageMaking {
  readonly volume: Volume;
  /** The volume it becomes a copy of. */
  readonly source?: Volume | undefined;
  /** Space for the image's own tables, and for its content as far as the allocation asks for it, is taken at once. */
  readonly preallocate?: boolean | undefined;
  /** Files that hold the passphrase of the volume, and of its source. */
  readonly secretFile?: string | undefined;
  readonly sourceSecretFile?: string | undefined;
}

/** Words of each command, the program first. Throws CONFIG_UNSUPPORTED for what no image can be. */
export function imageCommands(making: ImageMaking): string[][] {
  const { volume, source } = making;
  refuseImpossible(volume);
  const encrypted = volume.target.encryption ?? source?.target.encryption;
  if (source === undefined) return [createCommand(making)];
  return encrypted ? [createCommand(making), encryptedCopy(making, source)] : [plainCopy(making, source)];
}

/** The driver of QEMU that reads and writes this volume; ISO images and block devices are raw. */
export function driverOf({ target }: Volume): string {
  if (isLuks(target.encryption) && formatOf(target) === 'raw') return 'luks';
  return formatOf(target);
}

const formatOf = ({ format }: Volume['target']): string => {
  const type = format?.type ?? 'raw';
  return type === 'iso' ? 'raw' : type;
};

const isLuks = (encryption: VolumeEncryption | undefined): boolean =>
  encryption?.format === 'luks' || encryption?.format === 'default';

const unsupported = (detail: string): VirtError => new VirtError('CONFIG_UNSUPPORTED', { detail });

function refuseImpossible({ name, target }: Volume): void {
  const { encryption, features, compat } = target;
  const format = formatOf(target);
  if (encryption && !isLuks(encryption))
    throw unsupported(`encryption format ${encryption.format} of volume '${name}'; only luks can be made`);
  if (encryption && format !== 'raw' && format !== 'qcow2')
    throw unsupported(`volume encryption is unsupported with format ${format}; raw and qcow2 can have it`);
  if (format !== 'qcow2' && (features || target.clusterSize !== undefined || compat !== undefined))
    throw unsupported(`compat, features and clusterSize belong to qcow2, not to format ${format} of volume '${name}'`);
  if (features?.data_file) throw unsupported(`volume '${name}': images with an external data file cannot be made`);
  if (compat === '0.10' && (features?.lazy_refcounts || features?.extended_l2))
    throw unsupported('lazy_refcounts and extended_l2 are not supported with compat level 0.10');
}

function createCommand(making: ImageMaking): string[] {
  const { volume, source, secretFile } = making;
  const { target, capacity } = volume;
  const driver = driverOf(volume);
  const backing = source ? undefined : volume.backingStore;
  const options = optionsOf(making, driver);
  return [
    'qemu-img',
    'create',
    '-f',
    driver,
    ...(backing ? ['-b', needed(backing.path, 'a path of the backing store')] : []),
    ...(target.encryption ? secretObject(volume, secretFile) : []),
    ...(options.length > 0 ? ['-o', options.join(',')] : []),
    pathOf(volume),
    // In KiB, rounded up. Left out, it is the backing image's.
    ...(capacity === undefined ? [] : [`${Math.ceil(capacity / 1024)}K`]),
  ];
}

function plainCopy(making: ImageMaking, source: Volume): string[] {
  const driver = driverOf(making.volume);
  const options = optionsOf(making, driver);
  return [
    ...['qemu-img', 'convert', '-f', driverOf(source), '-O', driver],
    ...(options.length > 0 ? ['-o', options.join(',')] : []),
    ...[pathOf(source), pathOf(making.volume)],
  ];
}

function encryptedCopy({ volume, secretFile, sourceSecretFile }: ImageMaking, source: Volume): string[] {
  return [
    ...['qemu-img', 'convert', '--image-opts', '-n', '--target-image-opts'],
    ...(volume.target.encryption ? secretObject(volume, secretFile) : []),
    ...(source.target.encryption ? secretObject(source, sourceSecretFile) : []),
    imageOptions(source),
    imageOptions(volume),
  ];
}

/** What follows `-o`. */
function optionsOf({ volume, source, preallocate }: ImageMaking, driver: string): string[] {
  const { target, capacity = 0, allocation = capacity } = volume;
  const { clusterSize, features, encryption } = target;
  const options: string[] = [];
  if (volume.backingStore && !source) options.push(`backing_fmt=${volume.backingStore.format?.type ?? 'raw'}`);
  if (encryption) options.push(...encryptionOptions(volume, encryption, driver));
  if (preallocate) options.push(`preallocation=${capacity > allocation ? 'metadata' : 'falloc'}`);
  if (target.nocow) options.push('nocow=on');
  if (driver !== 'qcow2') return options;
  options.push(`compat=${target.compat ?? '1.1'}`);
  if (clusterSize !== undefined) options.push(`cluster_size=${clusterSize}`);
  if (features?.lazy_refcounts) options.push('lazy_refcounts');
  if (features?.extended_l2) options.push('extended_l2=on');
  return options;
}

function encryptionOptions(volume: Volume, { cipher, ivgen }: VolumeEncryption, driver: string): string[] {
  const prefix = driver === 'luks' ? '' : 'encrypt.';
  return [
    ...(driver === 'luks' ? [] : ['encrypt.format=luks']),
    `${prefix}key-secret=${secretId(volume)}`,
    ...(cipher ? [`${prefix}cipher-alg=${cipher.name}-${cipher.size}`] : []),
    ...(cipher?.mode !== undefined ? [`${prefix}cipher-mode=${cipher.mode}`] : []),
    ...(cipher?.hash !== undefined ? [`${prefix}hash-alg=${cipher.hash}`] : []),
    ...(ivgen ? [`${prefix}ivgen-alg=${ivgen.name}`] : []),
    ...(ivgen?.hash !== undefined ? [`${prefix}ivgen-hash-alg=${ivgen.hash}`] : []),
  ].map(escapeOption);
}

function imageOptions(volume: Volume): string {
  const driver = driverOf(volume);
  const key = volume.target.encryption && `${driver === 'luks' ? '' : 'encrypt.'}key-secret=${secretId(volume)}`;
  return [`driver=${driver}`, `file.filename=${escapeOption(pathOf(volume))}`, ...(key ? [key] : [])].join(',');
}

const secretObject = (volume: Volume, file: string | undefined): string[] => [
  '--object',
  `secret,id=${secretId(volume)},file=${escapeOption(needed(file, 'a passphrase'))}`,
];

/** QEMU's ids are letters, digits, `-`, `.` and `_`, and begin with a letter. */
const secretId = ({ name }: Volume): string => `${/^[A-Za-z][\w.-]*$/.test(name) ? name : 'volume'}_encrypt0`;

/** A comma ends an option of QEMU's; doubled it is one. */
const escapeOption = (text: string): string => text.replaceAll(',', ',,');

const pathOf = ({ target }: Volume): string => needed(target.path, 'a target path');

function needed(value: string | undefined, what: string): string {
  if (value === undefined) throw new VirtError('INVALID_ARG', { detail: `${what} is needed to make the image` });
  return value;
}
