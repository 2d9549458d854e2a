/**
 * Errnos by name, as the kernel's uapi numbers them on x86 and arm64
 * (include/uapi/asm-generic/errno-base.h and errno.h).
 */
export const ERRNO = {
	EPERM: 1,
	ENOENT: 2,
	EINTR: 4,
	EIO: 5,
	E2BIG: 7,
	EBADF: 9,
	EAGAIN: 11,
	ENOMEM: 12,
	EACCES: 13,
	EFAULT: 14,
	EBUSY: 16,
	EEXIST: 17,
	ENODEV: 19,
	EINVAL: 22,
	EMFILE: 24,
	ENOTTY: 25,
	ENOSPC: 28,
	ESPIPE: 29,
	ERANGE: 34,
	EDEADLOCK: 35,
	EBADE: 52,
	ENODATA: 61,
	EOVERFLOW: 75,
	EBADFD: 77,
	EMSGSIZE: 90,
	EOPNOTSUPP: 95,
	EADDRINUSE: 98,
	ETIMEDOUT: 110,
	ECANCELED: 125,
	EPROBE_DEFER: 517,
} as const;

/** The name of an errno, without sign. */
export type ErrnoName = keyof typeof ERRNO;

const NAMES = new Map<number, ErrnoName>(
	(Object.keys(ERRNO) as ErrnoName[]).map((name) => [ERRNO[name], name]),
);

/** Tells whether `text` is an errno name this model knows. */
export const isErrnoName = (text: string): text is ErrnoName =>
	Object.hasOwn(ERRNO, text);

/** The name of an errno number of either sign, or undefined for one that is not in the table. */
export const errnoName = (number: number): ErrnoName | undefined =>
	NAMES.get(Math.abs(number));
