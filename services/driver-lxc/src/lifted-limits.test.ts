import type { LxcLimit } from '@virtbus/domain-xml';
import { liftedLimits } from './lifted-limits';

const lifted = (config: readonly string[], limits: readonly string[]): string[] => {
  const has = limits.map((line): LxcLimit => {
    const [file, value] = line.split(' = ') as [string, string];
    return { controller: 'memory', version: 1, file, value };
  });
  const lines = config.map((line) => `lxc.${line}\n`);
  return liftedLimits(`lxc.uts.name = c1\n${lines.join('')}`, has).map(
    ({ controller, version, file, value }) => `${controller} ${version} ${file} = ${value}`,
  );
};

test.each<[where: string, config: string[], limits: string[], without: string[]]>([
  [
    'in the words of version 1',
    [
      'cgroup.memory.limit_in_bytes = 67108864',
      'cgroup.memory.soft_limit_in_bytes = 33554432',
      'cgroup.memory.memsw.limit_in_bytes = 134217728',
      'cgroup.blkio.weight = 500',
      'cgroup.blkio.throttle.read_bps_device = 7:0 1048576',
      'cgroup.blkio.throttle.read_bps_device = 7:1 1048576',
    ],
    ['memory.limit_in_bytes = 1', 'blkio.throttle.read_bps_device = 7:1 4096'],
    [
      'memory 1 memory.soft_limit_in_bytes = -1',
      'memory 1 memory.memsw.limit_in_bytes = -1',
      'blkio 1 blkio.throttle.read_bps_device = 7:0 0',
    ],
  ],
  [
    'in those of version 2, where one line of a device has several limits',
    [
      'cgroup2.memory.max = 67108864',
      'cgroup2.memory.high = 33554432',
      'cgroup2.memory.swap.max = 67108864',
      'cgroup2.io.max = 7:0 rbps=1048576',
      'cgroup2.io.max = 7:0 wiops=100',
    ],
    ['memory.max = 1', 'io.max = 7:0 wiops=200'],
    ['memory 2 memory.high = max', 'memory 2 memory.swap.max = max', 'blkio 2 io.max = 7:0 rbps=max'],
  ],
  [
    'unless it has its limits still',
    ['cgroup.memory.soft_limit_in_bytes = 1'],
    ['memory.soft_limit_in_bytes = -1'],
    [],
  ],
])('what the start limits and the document does not is without limit, %s', (_where, config, limits, without) => {
  expect(lifted(config, limits)).toEqual(without);
});
