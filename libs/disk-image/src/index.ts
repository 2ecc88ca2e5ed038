/** Image headers, backing strings and chain discovery: bounded reads, no processes. */
export {};
