/** `metrics.md`: every metric, from its declaration. */
import { durationBuckets, metrics, type Metric } from '@virtbus/shared/metrics';

export function metricsPage(): string {
  const rows = Object.values<Metric>(metrics).map(({ name, kind, labels, by, help }) => {
    const words = labels.map((label) => `\`${label}\``).join(' ');
    return `| \`${name}\` | ${kind} | ${words} | ${by} | ${help} |`;
  });
  return `# Metrics

Made from the declarations by \`npm run docs\`. A service answers \`/metrics\` where \`VIRTBUS_HTTP_LISTEN\` says; see
[how to observe](../how-to/observe.md).

Every sample also has \`service\`, and \`host\` where the service serves one host. No label holds a uuid, a domain's name or a
path. Beside these there are the process's own (\`process_*\`, \`nodejs_*\`, the lag of the event loop among them).
Durations are counted in buckets up to ${durationBuckets.join(', ')} seconds.

| metric | kind | labels | told by | meaning |
|---|---|---|---|---|
${rows.join('\n')}
`;
}
