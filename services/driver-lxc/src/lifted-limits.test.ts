import type { LxcLimit } from '@virtbus/domain-xml';
import { liftedLimits } from './lifted-limits';

const lifted = (config: string[], limits: string[] = []): string[] => {
  const has = limits.map((line): LxcLimit => {
    const [file, value] = line.split(' = ') as [string, string];
    return { controller: 'memory', version: 1, file, value };
  });
  return liftedLimits(`lxc.uts.name = c1\n${config.join('\n')}\n`, has).map(
    ({ controller, version, file, value }) => `${controller} ${version} ${file} = ${value}`,
  );
};

test('what the start limits and the document does not is without limit, in the words of version 1', () => {
  const config = [
    'lxc.cgroup.memory.limit_in_bytes = 67108864',
    'lxc.cgroup.memory.soft_limit_in_bytes = 33554432',
    'lxc.cgroup.memory.memsw.limit_in_bytes = 134217728',
    'lxc.cgroup.blkio.weight = 500',
    'lxc.cgroup.blkio.throttle.read_bps_device = 7:0 1048576',
    'lxc.cgroup.blkio.throttle.read_bps_device = 7:1 1048576',
  ];
  expect(lifted(config, ['memory.limit_in_bytes = 1', 'blkio.throttle.read_bps_device = 7:1 4096'])).toEqual([
    'memory 1 memory.soft_limit_in_bytes = -1',
    'memory 1 memory.memsw.limit_in_bytes = -1',
    'blkio 1 blkio.throttle.read_bps_device = 7:0 0',
  ]);
});

test('and in those of version 2, where one line of a device has several limits', () => {
  const config = [
    'lxc.cgroup2.memory.max = 67108864',
    'lxc.cgroup2.memory.high = 33554432',
    'lxc.cgroup2.memory.swap.max = 67108864',
    'lxc.cgroup2.io.max = 7:0 rbps=1048576',
    'lxc.cgroup2.io.max = 7:0 wiops=100',
  ];
  expect(lifted(config, ['memory.max = 1', 'io.max = 7:0 wiops=200'])).toEqual([
    'memory 2 memory.high = max',
    'memory 2 memory.swap.max = max',
    'blkio 2 io.max = 7:0 rbps=max',
  ]);
});

test('what has its limits still is left alone', () => {
  expect(lifted(['lxc.cgroup.memory.soft_limit_in_bytes = 1'], ['memory.soft_limit_in_bytes = -1'])).toEqual([]);
});
