/**
 * Moves a command line into a folder: every path in it lies below that folder then, and what QEMU would open stands there, with as
 * little inside as QEMU asks for. Images are as empty as their format allows, and a file stands in for a block device.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { passphrase } from '../kit-host';
import { kindOf, optionsOf, type Option } from './options';

/** Sources of random numbers are the same everywhere. */
const kept = new Set(['/dev/urandom', '/dev/random', '/dev/null']);

export class StandIns {
  readonly #templates: string;

  /** `templates` is a folder that may be shared: empty images by format. */
  constructor(templates: string) {
    this.#templates = templates;
    mkdirSync(templates, { recursive: true });
  }

  /** The command line below `folder`. */
  move(args: readonly string[], folder: string): string[] {
    const options = optionsOf(args);
    const formats = imageFormats(options);
    for (const option of options) this.#make(option, folder, formats);
    return args.map((word, at) => (/^-name|^-append|^-set/.test(args[at - 1] ?? '') ? word : movedWord(word, folder)));
  }

  #make(option: Option, folder: string, formats: ReadonlyMap<string, string>): void {
    for (const [key, path] of pathsOf(option)) {
      if (kept.has(path)) continue;
      const at = below(folder, path);
      mkdirSync(dirname(at), { recursive: true });
      if (existsSync(at)) continue;
      if (isFolder(option, key)) mkdirSync(at, { recursive: true });
      else if (option.name === '-blockdev' || option.name === '-drive')
        this.#image(at, formats.get(option.props.get('node-name') ?? '') ?? 'raw', isFlash(option));
      else {
        const content = contentOf(option, key);
        if (content) writeFileSync(at, content);
      }
    }
  }

  #image(at: string, format: string, flash: boolean): void {
    const template = join(this.#templates, `${format}${flash ? '-flash' : ''}`);
    if (!existsSync(template)) {
      const size = flash ? '2M' : '1M';
      create(['create', '-q', ...createOptions(format), template, size]);
    }
    copyFileSync(template, at);
  }
}

/**
 * For a passphrase QEMU measures how fast this processor is, and gives up where the clock has not moved meanwhile
 * (crypto/pbkdf.c: "Unable to get accurate CPU usage"): it is asked again.
 */
function create(words: readonly string[], attempts = 5): void {
  try {
    execFileSync('qemu-img', words, { stdio: 'pipe' });
  } catch (error) {
    if (attempts === 1) throw error;
    create(words, attempts - 1);
  }
}

/** What `qemu-img create` is told of the format; `+luks` is an encrypted image of another format. */
function createOptions(format: string): string[] {
  const secret = ['--object', `secret,id=s,data=${passphrase}`, '-o'];
  if (format === 'luks') return ['-f', format, ...secret, 'key-secret=s,iter-time=10'];
  const [outer = format, inner] = format.split('+');
  if (inner === undefined) return ['-f', outer];
  return ['-f', outer, ...secret, `encrypt.format=${inner},encrypt.key-secret=s,encrypt.iter-time=10`];
}

const below = (folder: string, path: string): string => join(folder, path);

/**
 * A word with its paths moved: JSON, or a word of pairs. JSON is changed as text, so that it stays as it was made in everything else,
 * such as numbers that JavaScript cannot tell apart.
 */
function movedWord(word: string, folder: string): string {
  if (word.startsWith('{'))
    return word
      .replace(/("(?!mount_tag)\w[\w-]*":)"(\/[^"]*)"/g, (_, key: string, path: string) => {
        return `${key}"${kept.has(path) ? path : below(folder, path)}"`;
      })
      .replace(/"driver":"host_(device|cdrom)"/, '"driver":"file"');
  return word.replace(/(^|=|unix:)(\/(?:[^,]|,,)*)/g, (_, before: string, path: string) => {
    return before + (kept.has(path) ? path : below(folder, path));
  });
}

function pathsOf({ name, props }: Option): [key: string, path: string][] {
  if (name === '-name' || name === '-append') return [];
  return [...props]
    .map(([key, value]): [string, string] => [key, value.replace(/^unix:(?=\/)/, '')])
    .filter(([key, value]) => value.startsWith('/') && key !== 'mount_tag');
}

/** What reads the node of an image says what format it has. */
function imageFormats(options: readonly Option[]): Map<string, string> {
  const formats = new Map<string, string>();
  for (const option of options) {
    const file = option.props.get('file');
    const kind = kindOf(option);
    const encryption = option.props.get('encrypt.format');
    if (option.name === '-blockdev' && file !== undefined && !['throttle', 'copy-on-read'].includes(kind))
      formats.set(file, encryption === undefined ? kind : `${kind}+${encryption}`);
  }
  return formats;
}

const isFolder = ({ name, props }: Option, key: string): boolean =>
  name === '-fsdev' || key === 'dir' || key === 'rootdir' || (key === 'db' && props.has('db'));

const isFlash = ({ props }: Option): boolean => (props.get('node-name') ?? '').includes('pflash');

/** What has to stand in a file; nothing for those that QEMU makes itself, such as sockets and logs. */
function contentOf({ name, props }: Option, key: string): Buffer | undefined {
  if (name === '-kernel' || name === '-shim') return kernel();
  if (name === '-bios') return Buffer.alloc(256 * 1024);
  if (name === '-acpitable') return acpiTable();
  if (props.get('qom-type') === 'secret') return Buffer.from(Array.from({ length: 32 }, (_, index) => index));
  if (name === '-initrd' || name === '-dtb' || name === '-fw_cfg' || key === 'romfile') return Buffer.alloc(4096, 'x');
  if (name === '-chardev' && props.get('') === 'pipe') return Buffer.alloc(0);
  return undefined;
}

/** The head of a Linux image that QEMU looks at: its signature, and protocol 2.12. */
function kernel(): Buffer {
  const image = Buffer.alloc(16 * 1024);
  image.write('HdrS', 0x202);
  image.writeUInt16LE(0x020c, 0x206);
  return image;
}

/** A table with nothing but its header of 36 bytes. */
function acpiTable(): Buffer {
  const table = Buffer.alloc(36);
  table.write('TEST');
  table.writeUInt32LE(table.length, 4);
  return table;
}
