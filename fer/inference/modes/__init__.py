"""What `mode=` means, a file each: photos, crops, clips, cameras."""
