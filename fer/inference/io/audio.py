"""The sound of a clip, read a second time from its file and handed on in step with the pictures.

Reading it apart keeps memory flat however the file stores the two, and leaves the pictures' order alone.
"""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Discard

from fer.inference.io.video_file import open_local
from fer.inference.io.video_reader import VideoReader

PLAYED = {"aac", "mp3", "opus", "flac"}  # by browsers, in MP4
AAC_RATE = 48_000  # samples a second, for sounds at a rate that AAC does not have


class Sound:
    """The packets of a clip's sound in a new file.

    Attributes:
        how: "copied" as they are, or "encoded" anew as AAC, where browsers or the new file do not take the codec.

    Args:
        clip: has sound.
        file: where it goes to, before its header is written.
    """

    def __init__(self, clip: VideoReader, file: OutputContainer) -> None:
        self._input = open_local(clip.path)
        self._stream = self._input.streams.best("audio")
        for stream in self._input.streams:
            if stream.index != self._stream.index:
                stream.discard = Discard.all
        self._zero = clip.zero
        name = self._stream.codec_context.codec.canonical_name
        taken = (
            name in PLAYED if file.format.name == "mp4" else self._stream.codec_context.name in file.supported_codecs
        )
        self.how = "copied" if taken else "encoded"
        self._new = file.add_stream_from_template(self._stream) if taken else _aac(file, self._stream)
        self._packets = self._copied() if taken else self._encoded()
        self._held: Packet | None = None

    def close(self) -> None:
        """Close the clip's file."""
        self._packets.close()
        self._input.close()

    def until(self, time: Fraction | None) -> Iterator[Packet]:
        """Yield the packets that begin before a time, in seconds; None: all that are left."""
        while packet := self._held or next(self._packets, None):
            self._held = packet
            if time is not None and packet.pts * packet.time_base >= time:
                return
            self._held = None
            yield packet

    def _copied(self) -> Iterator[Packet]:
        last = None
        for packet in self._read():
            if packet.dts is None or packet.pts is None or (last is not None and packet.dts <= last):
                continue  # no file takes it
            last = packet.dts
            early = round(self._zero / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - early, packet.dts - early, self._new
            yield packet

    def _encoded(self) -> Iterator[Packet]:
        for packet in self._read():
            try:
                frames = self._stream.decode(packet)
            except av.FFmpegError:
                continue
            for frame in frames:
                if frame.pts is not None:
                    frame.pts -= round(self._zero / frame.time_base)
                yield from self._new.encode(frame)
        yield from self._new.encode(None)

    def _read(self) -> Iterator[Packet]:
        """Yield the packets up to the end or the first damage."""
        try:
            for packet in self._input.demux(self._stream):
                if packet.size:
                    yield packet
        except av.FFmpegError:
            return


def _aac(file: OutputContainer, old: AudioStream) -> AudioStream:
    rates = av.Codec("aac", "w").audio_rates
    new = file.add_stream("aac", rate=old.rate if old.rate in rates else AAC_RATE)
    new.layout = "mono" if old.channels == 1 else "stereo"
    return new
