/** CPUs of documents against those of hosts. */
import { readText } from '../definition';
import { fail } from '../failure';
import { argument, command, example, flag, many, value } from '../spec';

const where = {
  host: value('HOST', 'which host; may be left out when there is but one', 'host'),
  driver: value('DRIVER', 'which driver: qemu, …'),
  virttype: value('TYPE', 'domain type: kvm, qemu, …; the best one when left out'),
  arch: value('ARCH', 'x86_64, …'),
  machine: value('MACHINE', 'q35, pc, …'),
  emulator: value('PATH', 'which emulator, on the host'),
};

interface Where {
  driver: string | undefined;
  virttype: string | undefined;
  arch: string | undefined;
  machine: string | undefined;
  emulator: string | undefined;
}
const asked = ({ driver, virttype: virtType, arch, machine, emulator }: Where) => ({
  driver,
  virtType,
  arch,
  machine,
  emulator,
});
const from = (path: string): string => (path === '-' ? 'standard input' : path);

export const cpuCompare = command({
  name: 'cpu-compare',
  aliases: ['hypervisor-cpu-compare'],
  group: 'host',
  summary: 'Tell whether a host can give guests the CPU of a document',
  about:
    'The CPU of the host is what its hypervisor can show a guest, by its own data. Ends with exit code 1 when the CPU is incompatible, and names the features that are missing.',
  args: { file: argument('file with a <cpu>, a domain, or capabilities; - is standard input', 'file') },
  options: where,
  examples: [
    example('cpu-compare web1.xml --host h2', 'could this guest run there?'),
    example('cpu-compare cpu.xml --virttype kvm --json', 'for a program'),
  ],
  async run({ args, options, session, out }) {
    const xml = await readText(args.file);
    const host = await session.host(options.host);
    const answer = await session.call('compareCpu', { xml, ...asked(options) }, host);
    const { result, missing, unwanted, reason } = answer;
    const described = `CPU described in ${from(args.file)}`;
    out.show(answer, () => {
      if (result === 'identical') return `${described} is identical to the CPU provided by host '${host}'`;
      return result === 'superset' ? `The CPU provided by host '${host}' is a superset of ${described}` : '';
    });
    if (result !== 'incompatible') return;
    const why = [
      missing.length > 0 && `missing features: ${missing.join(', ')}`,
      unwanted.length > 0 && `features that must not be there: ${unwanted.join(', ')}`,
      reason,
    ].filter(Boolean);
    throw fail('CPU_INCOMPATIBLE', { detail: `${described} on host '${host}': ${why.join('; ')}` });
  },
});

export const cpuBaseline = command({
  name: 'cpu-baseline',
  aliases: ['hypervisor-cpu-baseline'],
  group: 'host',
  summary: 'Print the richest CPU that all CPUs of some documents can stand in for',
  args: { file: many('files with CPUs, several in one if need be: <cpu>, domains, capabilities', 'file') },
  options: {
    features: flag("name each feature, also the model's own"),
    migratable: flag('leave out features that tie a guest to its host'),
    onHost: flag('leave out what the host cannot give either'),
    ...where,
  },
  examples: [
    example('cpu-baseline h1.xml h2.xml', "of two hosts' capabilities"),
    example('cpu-baseline cpus.xml --features --migratable', 'spelled out, fit for migration'),
  ],
  async run({ args, options, session, out }) {
    const documents = await Promise.all((args.file.length > 0 ? args.file : ['-']).map((path) => readText(path)));
    const { features, migratable, onHost } = options;
    const request = { documents, features, migratable, onHost, ...asked(options) };
    const answer = await session.call('baselineCpu', request, await session.host(options.host));
    out.show(answer, () => answer.xml);
  },
});
