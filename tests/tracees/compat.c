/* Makes three calls by the 32-bit entry, and some by its own. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	long pid = 0;
	for (int i = 0; i < 3; i++)
		__asm__ volatile("int $0x80"
				 : "=a"(pid)
				 : "a"(20 /* getpid */)
				 : "memory", "r8", "r9", "r10", "r11");
	puts(pid == getpid() ? "the same" : "another");
	return 0;
}
