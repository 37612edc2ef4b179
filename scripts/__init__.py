"""What people run: parse, configure, call, print. The only place where fl meets chain."""
