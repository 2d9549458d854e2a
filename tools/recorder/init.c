/* First program of the machine: mounts, sets up memory, runs /host/run and powers off. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(path);
	if (fd >= 0)
		close(fd);
}
int main(void)
{
	char *const run[] = { "/host/run", NULL };
	char *const env[] = { "PATH=/", NULL };
	int status;

	mkdir("/proc", 0755), mkdir("/sys", 0755), mkdir("/dev", 0755), mkdir("/host", 0755), mkdir("/tmp", 01777);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	if (mount("host", "/host", "9p", 0, "trans=virtio,version=9p2000.L,msize=524288"))
		perror("9p");
	put("/proc/sys/kernel/randomize_va_space", "0");
	put("/proc/sys/vm/nr_hugepages", "128");
	chmod("/dev/iommu", 0666);
	if (fork() == 0) {
		execve(run[0], run, env);
		perror(run[0]);
		_exit(127);
	}
	wait(&status);
	sync();
	reboot(RB_POWER_OFF);
	return 0;
}
