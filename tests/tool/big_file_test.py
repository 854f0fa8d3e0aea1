# big_file: a file of 1 GiB goes through in messages of 1 MiB, and neither end needs 64 MiB for it.
# Under a sanitizer it is 128 MiB.
# ctest-timeout: 300
import random

from _tool import Case, SANITIZED, main

SIZE_MIB = 128 if SANITIZED else 1024


class BigFile(Case):
    def test_a_big_file_arrives_in_pieces_of_a_mebibyte(self):
        generator = random.Random(20)
        blocks = [generator.randbytes(1 << 20) for _ in range(7)]
        with open(self.path("big"), "wb") as file:
            for number in range(SIZE_MIB):
                file.write(b"%08d" % number)  # so that no two pieces are the same
                file.write(blocks[number % 7][8:])
            file.write(b"a last piece that is not full")
        listener, endpoint = self.listen_into("copy")
        sender = self.send_file(endpoint, "big", "--chunk", "1M")
        count = SIZE_MIB + 1
        self.assert_ends(sender, 0, f"{count} messages sent, {count} confirmed", seconds=240)
        self.assert_ends(listener, 0)
        self.assert_same("big", "copy")
        self.assert_small(sender)
        self.assert_small(listener)
        print(f"\n  send {sender.rss_kib} KiB, listen {listener.rss_kib} KiB; {sender.err.decode().strip()}")

    def test_pieces_of_any_size_make_the_same_file(self):
        with open(self.path("big"), "wb") as file:
            file.write(random.Random(21).randbytes(3_000_001))
        for size in ("1000", "8191", "64K", "3000001", "4M", "16M"):
            with self.subTest(size=size):
                listener, endpoint = self.listen_into("copy")
                self.assert_ends(self.send_file(endpoint, "big", "--chunk", size), 0)
                self.assert_ends(listener, 0)
                self.assert_same("big", "copy")


if __name__ == "__main__":
    main()
