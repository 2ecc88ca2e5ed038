/**
 * A few files with failed tests are run once more, alone: what fails again is broken, what passes is flaky. A flaky test is
 * a defect as well, of the product until proven otherwise: the run names it and keeps its logs.
 */
import type { Outcome } from './jest-project';

/** More files than this do not fail by chance: no second run then. */
const mostFiles = 3;

export const deservesSecondRun = ({ failedFiles, problems }: Outcome): boolean =>
  failedFiles.length > 0 && failedFiles.length <= mostFiles && problems.length === 0;

/** The outcome of a project whose failed files were run again. */
export function afterSecondRun(first: Outcome, second: Outcome): Outcome {
  const still = new Set(second.failures);
  const flaky = first.failures.filter((name) => !still.has(name));
  return {
    ...first,
    // A test that passed at first and fails now has failed.
    passed: first.passed + flaky.length - second.failures.filter((name) => !first.failures.includes(name)).length,
    failed: second.failed,
    failures: second.failures,
    flaky,
    problems: second.problems,
  };
}
