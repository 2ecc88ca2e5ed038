/**
 * A few files with failed tests are run once more, alone, to tell what is broken from what is flaky. Both have failed: a
 * flaky test is a defect as well, of the product until proven otherwise. The run names it and keeps its logs.
 */
import type { Outcome } from './jest-project';

/** More files than this do not fail by chance: no second run then. */
const mostFiles = 3;

export const deservesSecondRun = ({ failedFiles, problems }: Outcome): boolean =>
  failedFiles.length > 0 && failedFiles.length <= mostFiles && problems.length === 0;

/** The outcome of a project whose failed files were run again: nothing that failed at first is taken back. */
export function afterSecondRun(first: Outcome, second: Outcome): Outcome {
  const fresh = second.failures.filter((name) => !first.failures.includes(name));
  return {
    ...first,
    passed: first.passed - fresh.length,
    failed: first.failed + fresh.length,
    failures: [...first.failures, ...fresh],
    flaky: first.failures.filter((name) => !second.failures.includes(name)),
    problems: second.problems,
  };
}
