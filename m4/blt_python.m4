# BLT_PYTHON
# Looks for what the module blt needs: a Python of 3.11 or later, PYTHON, and
# its headers.  Sets with_python to yes or no, PYTHON_CFLAGS, and pyexecdir: that
# directory of the prefix where this Python looks for modules, or else the one
# that it has below a prefix of its own.
AC_DEFUN([BLT_PYTHON], [
  AC_ARG_WITH([python],
    [AS_HELP_STRING([--with-python=auto|yes|no],
      [build the Python module blt (auto: where Python.h is)])],
    [], [with_python=auto])
  AC_ARG_VAR([pyexecdir], [where the Python module is installed])
  blt_wanted=$with_python
  AS_IF([test "x$with_python" != xno], [
    AC_MSG_CHECKING([for the headers of Python 3.11 or later])
    blt_include=`$PYTHON -c 'import sys, sysconfig
if sys.version_info >= (3, 11): print(sysconfig.get_path("include"))' 2>/dev/null`
    with_python=no
    AS_IF([test -n "$blt_include" && test -r "$blt_include/Python.h"],
      [with_python=yes
       PYTHON_CFLAGS="-isystem $blt_include"
       AC_MSG_RESULT([$blt_include])],
      [AC_MSG_RESULT([no])])])
  AS_IF([test "x$blt_wanted:$with_python" = xyes:no],
    [AC_MSG_ERROR([Python.h of Python 3.11 or later is missing (python3-dev); --without-python does without the module])])
  AS_IF([test $with_python = yes && test -z "$pyexecdir"], [
    blt_prefix=$prefix
    AS_IF([test "x$blt_prefix" = xNONE], [blt_prefix=$ac_default_prefix])
    pyexecdir=`$PYTHON - "$blt_prefix" <<'END'
import site, sys
prefix = sys.argv@<:@1@:>@.rstrip("/") + "/"
other = prefix + "local/"
own = "lib/python%d.%d/site-packages" % sys.version_info@<:@:2@:>@
for place in site.getsitepackages():
    if place.startswith(prefix) and not place.startswith(other):
        own = place@<:@len(prefix):@:>@
        break
print("${exec_prefix}/" + own)
END`])
  AC_SUBST([PYTHON_CFLAGS])
  AC_SUBST([pyexecdir])
  AM_CONDITIONAL([HAVE_PYTHON], [test $with_python = yes])
])
