/** The dashboard and the alerts that we ship: they ask for metrics and labels that exist. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { metrics, type Metric } from '@virtbus/shared/metrics';
import { checkout, requirement, startProcess } from '@virtbus/testkit';

const dashboard = join(checkout, 'deploy/grafana/virtbus.json');
const alerts = join(checkout, 'deploy/prometheus/alerts.yml');

interface Dashboard {
  panels: { title: string; targets: { expr: string }[] }[];
}

const expressions = (): string[] => [
  ...(JSON.parse(readFileSync(dashboard, 'utf8')) as Dashboard).panels.flatMap(({ targets }) =>
    targets.map(({ expr }) => expr),
  ),
  ...[...readFileSync(alerts, 'utf8').matchAll(/^ +expr: (.*)$/gm)].map(([, expr]) => expr!),
];

test('ask for metrics that a service tells, by labels that those have', () => {
  const declared = new Map<string, readonly string[]>();
  for (const { name, kind, labels } of Object.values<Metric>(metrics)) {
    for (const suffix of kind === 'histogram' ? ['_bucket', '_sum', '_count'] : [''])
      declared.set(name + suffix, labels);
  }
  const found = expressions();
  expect(found.length).toBeGreaterThan(30);
  for (const expr of found) {
    const names = [...expr.matchAll(/virtbus_\w+/g)].map(([name]) => name);
    expect(names.filter((name) => !declared.has(name))).toEqual([]);
    const known = new Set(['service', 'host', 'le', 'job', ...names.flatMap((name) => declared.get(name) ?? [])]);
    const asked = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, words]) => words!.split(/, */));
    const selected = [...expr.matchAll(/(\w+)=~?"/g)].map(([, label]) => label!);
    expect([expr, [...asked, ...selected].filter((label) => !known.has(label))]).toEqual([expr, []]);
  }
});

test('every metric has its place on the dashboard', () => {
  const all = expressions().join('\n');
  expect(Object.values<Metric>(metrics).filter(({ name }) => !all.includes(name))).toEqual([]);
});

const fetched = spawnSync(join(checkout, 'tools/promtool/fetch.sh'), { encoding: 'utf8', timeout: 120_000 });
const promtool = requirement('promtool, or the means to fetch it', () => fetched.status === 0);
promtool.test('are rules that Prometheus takes', async () => {
  await using check = await startProcess([fetched.stdout.trim(), 'check', 'rules', alerts]);
  expect([(await check.exited).code, check.log.text]).toEqual([0, expect.stringContaining('SUCCESS')]);
});
