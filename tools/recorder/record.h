/* Records the calls a program makes to /dev/iommu, and their answers, as NDJSON. */
#ifndef RECORD_H
#define RECORD_H

/* Begins a sequence; what was mapped as m0 before is told in its first record. */
void record_start(const char *test);
/* Ends it and writes <directory>/<test>.ndjson. */
void record_end(void);
/* A record "note" with these members, e.g. "\"seed\":7". */
void record_note(const char *members);
/* Where recordings go; default "/host/out". */
void record_directory(const char *path);

#endif
