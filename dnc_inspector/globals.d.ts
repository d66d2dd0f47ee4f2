// Missing in TypeScript 4.8, Debian's; with `skipLibCheck` later versions use their own.

interface DecompressionStream extends GenericTransformStream {}

declare var DecompressionStream: { new (format: "gzip"): DecompressionStream };
