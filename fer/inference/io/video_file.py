"""Opens the file of a clip, and that file alone: a playlist, or whatever else leads to other files, is refused."""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer

from fer.errors import UserError
from fer.inference.io.animation import is_animated, open_animation

# FFmpeg's formats that have all in one file. Playlists, lists of parts and SDP would show what lies elsewhere.
VIDEO = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,ivf,ogg,flv,asf,asf_o,wtv,mxf,gxf,nut,nuv,nsv,rm,"
    "swf,dv,gif,apng,jpegxl_anim,mjpeg,mjpeg_2000,mpjpeg,smjpeg,ingenient,yuv4mpegpipe,h261,h263,vc1,vc1test,dirac,"
    "cavsvideo,avs2,avs3,evc,apv,dnxhd,dhav,hxvs,ifv,luodat,mxg,pva,ty,kux,live_flv,flic"
)
REFUSED = (  # but by a sentence of their own: sounds, pictures and text
    "mp3,aac,ac3,eac3,dts,dtshd,truehd,flac,wav,w64,aiff,au,amr,caf,ape,wv,tta,image2,jpeg_pipe,png_pipe,webp_pipe,"
    "bmp_pipe,tiff_pipe,gif_pipe,jpegxl_pipe,j2k_pipe,psd_pipe,ppm_pipe,pgm_pipe,tty"
)
FIRST = 100  # frames whose times tell the rate
LOCAL = {"format_whitelist": f"{VIDEO},{REFUSED}", "protocol_whitelist": "file", "pattern_type": "none"}  # no a%d.jpg


def open_clip(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        UserError: if it is missing, unreadable, empty, of another kind, or names other files.
    """
    if path.is_dir():
        raise UserError(f"input={path}: expected a video file, but it is a folder: name one file")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UserError(f"input={path}: expected a video file, but it cannot be opened ({error.strerror})") from error
    if empty:
        raise UserError(f"input={path}: expected a video, but the file is empty")
    if is_animated(path):
        return open_animation(path)
    try:
        return open_local(path)
    except av.error.ArgumentError as error:
        raise UserError(
            f"input={path}: expected a video, but it is of a format that is not read, such as a playlist, which would "
            "show other files, or damaged: name the video itself, or convert the file to MP4"
        ) from error
    except av.FFmpegError as error:
        raise UserError(
            f"input={path}: expected a video, but the file is something else, cut off or damaged ({error.strerror})"
        ) from error


def open_local(path: Path) -> InputContainer:
    """Open a file that holds sound or pictures, and none that names other files.

    Raises:
        av.FFmpegError: if it cannot be opened.
    """
    return av.open(f"file:{path}", options=LOCAL, metadata_errors="replace")  # "file:", or a:b.mp4 is an address


def rate_seen(path: Path, index: int) -> Fraction | None:
    """Return the frames per second of a file by the times of its first ones; None if they have none.

    Args:
        path: of the file.
        index: of its stream.
    """
    try:
        with open_local(path) as file:
            packets = islice(file.demux(file.streams[index]), FIRST)
            times = sorted({packet.pts * packet.time_base for packet in packets if packet.pts is not None})
    except av.FFmpegError:
        return None
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None
